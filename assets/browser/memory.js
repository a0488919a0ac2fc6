// What a dream remembers and where it goes: the bank of frames and the cache of keys and values,
// as models/onnx_runtime/carry.py keeps them. One dream; arrays without a batch.

import { roundToHalf } from "./arrays.js";

export const EMPTY = -1;

/** What the last steps wrote over, so that they can be undone. */
export class Journal {
  /** @param {number} most steps that are kept */
  constructor(most) {
    Object.assign(this, { most, steps: [] });
  }

  /** Begin a step; `mark` is given back when it is undone. */
  open(mark) {
    this.steps.push({ mark, parts: [] });
    if (this.steps.length > this.most) this.steps.shift();
  }

  /** Numbers `from` to `to` of an array will be written over. */
  keep(array, from, to) {
    this.steps.at(-1)?.parts.push([array, from, array.slice(from, to)]);
  }

  /** Undo the newest step; its mark. */
  undo() {
    const { mark, parts } = this.steps.pop();
    for (const [array, from, old] of parts.reverse()) array.set(old, from);
    return mark;
  }
}

/** Names of the bank's arrays, in which the first axis is the slot. */
export const BANK = ["rgba", "inverse_depth", "poses", "points", "fresh", "ids"];

/** Remembered frames. `frames` and `depths` are numbers a slot. */
export class Bank {
  /**
   * @param {object} sizes slots, cells (coarse points), pixels and depths a frame, newest (frames
   *   that are never dropped)
   * @param {object} [held] arrays of a start, for the first slots
   */
  constructor(sizes, held = {}) {
    const { slots, cells, pixels, depths } = sizes;
    this.sizes = sizes;
    this.rgba = new Uint8Array(slots * pixels * 4);
    this.inverse_depth = new Float32Array(slots * depths);
    this.poses = new Float32Array(slots * 4);
    this.points = new Float32Array(slots * cells * 3);
    this.fresh = new Float32Array(slots * cells);
    this.ids = new BigInt64Array(slots).fill(BigInt(EMPTY));
    for (const [name, part] of Object.entries(held)) this[name].set(part);
  }

  /** Arrays of the frames in `slots` (EMPTY: none), in the order in which graphs take them. */
  sources(slots) {
    const gather = (part) => {
      const size = part.length / this.sizes.slots;
      const found = new part.constructor(slots.length * size);
      slots.forEach((slot, i) => {
        const from = Math.max(slot, 0) * size;
        found.set(part.subarray(from, from + size), i * size);
      });
      return found;
    };
    const ids = BigInt64Array.from(slots, (slot) => (slot < 0 ? BigInt(EMPTY) : this.ids[slot]));
    return [gather(this.rgba), gather(this.inverse_depth), gather(this.poses), ids];
  }

  /** An empty slot, else the one whose loss costs the least coverage, for frame `number`. */
  freeSlot(number) {
    const { slots, cells, newest } = this.sizes;
    let best = 0;
    let least = Infinity;
    for (let slot = 0; slot < slots; slot++) {
      const id = Number(this.ids[slot]);
      if (id === EMPTY) return slot;
      if (id > number - newest) continue;
      const worth = this.fresh.subarray(slot * cells, (slot + 1) * cells).reduce((a, b) => a + b);
      if (worth < least) [best, least] = [slot, worth];
    }
    return best;
  }

  /** Write frame `number`: its picture, what is first-hand of it, depth, pose and coarse points. */
  insert(number, { frame, firstHand, inverseDepth, pose, points, fresh }, journal) {
    const { slots, pixels, depths, cells } = this.sizes;
    const slot = this.freeSlot(number);
    for (const name of BANK) {
      const size = this[name].length / slots;
      journal.keep(this[name], slot * size, (slot + 1) * size);
    }
    for (let i = 0, at = slot * pixels * 4; i < pixels; i++, at += 4) {
      this.rgba.set(frame.subarray(3 * i, 3 * i + 3), at);
      this.rgba[at + 3] = firstHand[i] ? 255 : 0;
    }
    this.inverse_depth.set(inverseDepth.map(roundToHalf), slot * depths);
    this.poses.set(pose, slot * 4);
    this.points.set(points, slot * cells * 3);
    this.fresh.set(fresh, slot * cells);
    this.ids[slot] = BigInt(number);
  }

  /** The picture in a slot, without what is first-hand. */
  picture(slot) {
    const { pixels } = this.sizes;
    const found = new Uint8Array(pixels * 3);
    for (let i = 0, at = slot * pixels * 4; i < pixels; i++, at += 4) {
      found.set(this.rgba.subarray(at, at + 3), 3 * i);
    }
    return found;
  }
}

/** Keys and values of remembered frames, by levels. */
export class Cache {
  /**
   * @param {object} spans level -> { slot, frame, count, tokens }
   * @param {number[]} shape layers, 1, heads, slots, head size
   * @param {object} held k, v and ids
   */
  constructor(spans, shape, held) {
    const [layers, , heads, slots, width] = shape;
    Object.assign(this, { spans, rows: layers * heads, slots, width });
    this.k = held.k.slice();
    this.v = held.v.slice();
    this.ids = Int32Array.from(held.ids, Number);
  }

  /** Store keys and values of frame `number` at a place of a level. */
  write(level, place, [k, v], number, journal) {
    const span = this.spans[level];
    const size = span.tokens * this.width;
    const start = (span.slot + place * span.tokens) * this.width;
    for (let row = 0; row < this.rows; row++) {
      const at = row * this.slots * this.width + start;
      journal.keep(this.k, at, at + size);
      journal.keep(this.v, at, at + size);
      this.k.set(k.subarray(row * size, (row + 1) * size), at);
      this.v.set(v.subarray(row * size, (row + 1) * size), at);
    }
    this.#name(span.frame + place, number, journal);
  }

  #name(at, number, journal) {
    journal.keep(this.ids, at, at + 1);
    this.ids[at] = number;
  }

  /** Which slots hold something, a number of 0 or 1 each. */
  visible() {
    const found = new Uint8Array(this.slots);
    for (const { slot, frame, count, tokens } of Object.values(this.spans)) {
      for (let place = 0; place < count; place++) {
        const from = slot + place * tokens;
        found.fill(Number(this.ids[frame + place] !== EMPTY), from, from + tokens);
      }
    }
    return found;
  }

  /**
   * Say which frames the keyframes shall be; those that are no longer wanted are dropped.
   * @returns {number[]} places whose keys and values are missing
   */
  want(numbers, journal) {
    const { frame, count } = this.spans.keyframes;
    const missing = [];
    for (let place = 0; place < count; place++) {
      const wanted = numbers[place] ?? EMPTY;
      if (this.ids[frame + place] === wanted) continue;
      this.#name(frame + place, EMPTY, journal);
      if (wanted !== EMPTY) missing.push(place);
    }
    return missing;
  }
}
