// The frames that were shown, and files of them: a PNG of one, an animated PNG of several.

import { checkSum } from "./checksum.js";

const KEPT = 600; // frames
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** The newest frames. */
export class Film {
  constructor() {
    this.frames = [];
  }

  push(frame) {
    this.frames.push(frame);
    if (this.frames.length > KEPT) this.frames.shift();
  }

  /** The newest frame is taken back. */
  pop() {
    if (this.frames.length > 1) this.frames.pop();
  }
}

/**
 * A PNG, which moves where there are several frames.
 * @param {Uint8Array[]} frames RGB
 * @param {number} size pixels of a side
 * @param {number} fps
 * @param {number} by how many pixels of a side a pixel becomes
 * @returns {Promise<Blob>}
 */
export async function encodePng(frames, size, fps, by) {
  const side = size * by;
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", words(side, side), [8, 2, 0, 0, 0])];
  const moves = frames.length > 1;
  if (moves) parts.push(chunk("acTL", words(frames.length, 0)));
  let order = 0;
  for (const [i, frame] of frames.entries()) {
    const data = await deflate(enlarge(frame, size, by));
    const pause = [0, 100, ...words(Math.round(100 * fps)).slice(2), 0, 0]; // 100 / (100 fps) s
    if (moves) parts.push(chunk("fcTL", words(order++, side, side, 0, 0), pause));
    parts.push(i === 0 ? chunk("IDAT", data) : chunk("fdAT", words(order++), data));
  }
  return new Blob([...parts, chunk("IEND")], { type: "image/png" });
}

/** Rows of a larger picture, each after a byte that says that it is not filtered. */
function enlarge(frame, size, by) {
  const side = size * by;
  const rows = new Uint8Array(side * (1 + 3 * side));
  for (let y = 0, at = 0; y < side; y++) {
    at++;
    for (let x = 0; x < side; x++) {
      const from = 3 * (size * Math.floor(y / by) + Math.floor(x / by));
      for (let channel = 0; channel < 3; channel++) rows[at++] = frame[from + channel];
    }
  }
  return rows;
}

async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const words = (...numbers) => numbers.flatMap((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);

function chunk(kind, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const found = new Uint8Array(12 + length);
  found.set(words(length));
  found.set(new TextEncoder().encode(kind), 4);
  let at = 8;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  found.set(words(checkSum(found.subarray(4, at))), at);
  return found;
}
