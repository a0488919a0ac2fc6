// A step of a dream: the twin of `imagine` in models/onnx_runtime/dynamics.py. What is computed
// lies in the graphs; here is what is kept and where it goes.

import { Bank, Cache, Journal } from "./memory.js";
import { drawChance, drawMotion } from "./motion.js";
import { drawFrameNoise } from "./noise.js";
import { takeStep } from "./sampler.js";
import { rememberPlaces } from "./stood.js";

const round = Math.fround;
const UNDONE = 240; // steps that can be taken back

export class Dream {
  /**
   * @param {object} facts what page.json says
   * @param {object} graphs name -> function of arrays to a promise of arrays
   * @param {object} arrays of a start or of a saved moment, by name
   * @param {{start: number, seed: number, moves?: number[]}} walk the start's number, the seed of
   *   the noise, the actions that were taken
   */
  constructor(facts, graphs, arrays, { start, seed, moves = [] }) {
    const group = (prefix) =>
      Object.fromEntries(
        Object.entries(arrays)
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, part]) => [name.slice(prefix.length), part]),
      );
    Object.assign(this, { facts, graphs, start, seed, count: moves.length, moves });
    this.journal = new Journal(UNDONE);
    this.bank = new Bank(facts.sizes, group("bank."));
    this.cache = new Cache(facts.spans, facts.cache_shape, group("cache."));
    this.number = Number(arrays.frame[0]);
    this.pose = arrays.pose.slice();
    this.climb = arrays.climb.slice();
    this.stood = arrays.stood.slice();
    this.frame = arrays.newest.slice();
    this.inverseDepth = arrays.inverse_depth.slice();
  }

  /** The earliest frame to which the dream can go back. */
  get earliest() {
    return this.count - this.journal.steps.length;
  }

  /**
   * Dream the next frame. Where that fails, the dream is as before.
   * @param {number} action
   * @returns {Promise<Uint8Array>} RGB
   */
  async step(action) {
    const { number, pose, climb, frame, inverseDepth } = this;
    this.journal.open({ number, pose, climb, frame, inverseDepth });
    try {
      await this.#imagine(action);
    } catch (error) {
      Object.assign(this, this.journal.undo());
      throw error;
    }
    this.moves.push(action);
    this.count++;
    return this.frame;
  }

  /** Go back to an earlier frame: RGB. */
  rewind(count) {
    if (count < this.earliest || count > this.count) {
      throw new Error(`frame ${count} is not kept, only ${this.earliest} to ${this.count}`);
    }
    while (this.count > count) {
      Object.assign(this, this.journal.undo());
      this.moves.pop();
      this.count--;
    }
    return this.frame;
  }

  async #imagine(action) {
    const { graphs, bank, journal } = this;
    const noise = drawFrameNoise(this.seed, this.count, this.facts.latents);
    const motion = await this.#move(action, drawChance(noise, this.facts.motion));
    const slots = await this.#select();
    const shown = await graphs.look(...bank.sources(slots), this.pose);
    const [rgb, seen, hint, firstHand, known, knownDepth, view, mask, depth] = shown;
    await this.#cacheKeyframes(slots);
    const condition = [view, mask, depth, [action], motion, this.pose];
    const sampled = await this.#sample(condition, noise, 1 - known[0]);
    const told = [sampled, rgb, seen, hint, knownDepth, firstHand, this.pose];
    if ("noise" in this.facts.graphs.finish.inputs) told.push(noise);
    const [frame, latents, inverseDepth, points, fresh] = await graphs.finish(...told);
    Object.assign(this, { frame, inverseDepth });
    if (firstHand.reduce((sum, pixel) => sum + pixel, 0) >= this.facts.least_new) {
      const { pose } = this;
      bank.insert(this.number, { frame, firstHand, inverseDepth, pose, points, fresh }, journal);
    }
    await this.#remember(latents);
  }

  /** Move the body, by a chance in [0, 1), and give the motion. */
  async #move(action, chance) {
    const { bank } = this;
    const told = [bank.points, bank.fresh, bank.ids, this.pose, this.inverseDepth, [action]];
    const { inputs } = this.facts.graphs.odometry;
    if ("climb" in inputs) told.push(this.climb);
    if ("stood" in inputs) told.push(this.stood);
    const [logits, motions] = await this.graphs.odometry(...told);
    const motion = drawMotion(logits, motions, chance, this.facts.motion);
    const [ahead, left, up] = motion;
    this.climb = Float32Array.of(up);
    const before = this.pose;
    const [x, y, heading, height] = before;
    const [cos, sin] = [round(Math.cos(heading)), round(Math.sin(heading))];
    this.pose = Float32Array.of(
      x + ahead * cos - left * sin,
      y + ahead * sin + left * cos,
      heading + round(this.facts.actions[action].turn),
      height + up,
    );
    rememberPlaces(this.stood, before, this.pose, this.number, this.facts.stood, this.journal);
    return motion;
  }

  /** Slots whose frames show most of the view. */
  async #select() {
    const { points, fresh, ids, poses } = this.bank;
    const [slots] = await this.graphs.select(points, fresh, ids, poses, this.pose);
    return Array.from(slots, Number).slice(0, this.facts.sources);
  }

  /** Encode the frames that show most of the view, those in the window left out. */
  async #cacheKeyframes(slots) {
    const { bank, cache, graphs, journal } = this;
    const { count } = this.facts.spans.keyframes;
    const oldest = this.number - this.facts.spans.window.count;
    const id = (slot) => Number(bank.ids[slot]);
    const old = (slot) => slot >= 0 && id(slot) >= 0 && id(slot) < oldest;
    const chosen = slots.filter(old).slice(0, count);
    for (const place of cache.want(chosen.map(id), journal)) {
      const slot = chosen[place];
      const [latents] = await graphs.encode(bank.picture(slot));
      const pose = bank.poses.slice(4 * slot, 4 * slot + 4);
      const context = await graphs.context_fine(latents, pose);
      cache.write("keyframes", place, context, id(slot), journal);
    }
  }

  /** Latents, in the sampler steps that the share of the view that is invented asks for. */
  async #sample(condition, noise, unseen) {
    const { facts, cache } = this;
    const { little, some, most, order } = facts.sampler;
    const asked = unseen < little ? 1 : unseen < some ? 2 : unseen < most ? 4 : 8;
    let x = noise;
    let before = null; // velocity of the step before, where steps are of second order
    for (const jump of facts.schedules[Math.min(facts.steps, asked)]) {
      const context = [cache.k, cache.v, cache.visible()];
      const [clean] = await this.graphs.denoise(x, [jump.level], [jump.told], ...context, ...condition);
      const limit = facts.latent_limit;
      const next = takeStep(order, x, clean, before, jump);
      before = next.velocity;
      x = next.x.map((number) => Math.min(Math.max(number, -limit), limit));
    }
    if (!x.every(Number.isFinite)) throw new Error("the dream ran away to numbers without end");
    return x;
  }

  /** Encode the newest frame, fine for the window and now and then coarse. */
  async #remember(latents) {
    const { graphs, cache, number, pose, journal } = this;
    const { window, coarse } = this.facts.spans;
    const fine = await graphs.context_fine(latents, pose);
    cache.write("window", number % window.count, fine, number, journal);
    if (number % this.facts.dilation === 0) {
      const place = Math.floor(number / this.facts.dilation) % coarse.count;
      const context = await graphs.context_coarse(latents, pose);
      cache.write("coarse", place, context, number, journal);
    }
    this.number++;
  }
}
