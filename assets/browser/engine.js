// What dreams for this page: here the browser itself, in a worker. `worldsim serve` puts another file
// in this place (assets/serve/engine.js), whose dreams are made on the server. Both offer:
//   openWorld(base, tell) -> world
//   world: facts, note (what the player should know of it), begin(start, seed) -> dream, restore(bytes) -> dream
//   dream: start, seed, moves, count, frame, earliest (frame to which it can go back),
//          step(action) -> RGB, rewind(count) -> RGB, save() -> bytes
// All but the fields are promises; what is refused leaves everything as it was.

import { isolatePage } from "./isolation.js";

const MOST_THREADS = 4;
const MOST_REASON = 80; // letters of what ONNX Runtime says

/** A worker's calls as promises. */
class Desk {
  constructor(tell) {
    this.waiting = new Map();
    this.last = 0;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => (data.told ? tell(...data.told) : this.#settle(data));
    this.worker.onerror = (event) => {
      event.preventDefault();
      const told = "its worker has ended; reload the page, or use a newer browser";
      for (const id of this.waiting.keys()) this.#settle({ id, error: told });
    };
  }

  call(call, given) {
    const id = ++this.last;
    this.worker.postMessage({ id, call, given });
    return new Promise((done, fail) => this.waiting.set(id, { done, fail }));
  }

  #settle({ id, value, error }) {
    const { done, fail } = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) done(value);
    else fail(new Error(error));
  }
}

class Dream {
  constructor(desk, turn, told) {
    Object.assign(this, { desk, turn }, told);
  }

  /** Dream the next frame: RGB. */
  async step(action) {
    Object.assign(this, await this.desk.call("step", { turn: this.turn, action }));
    this.moves.push(action);
    this.count++;
    return this.frame;
  }

  /** Go back to an earlier frame: RGB. */
  async rewind(count) {
    Object.assign(this, await this.desk.call("rewind", { turn: this.turn, count }));
    this.moves.length -= this.count - count;
    this.count = count;
    return this.frame;
  }

  /** The present moment as a file's bytes. */
  save() {
    return this.desk.call("save", { turn: this.turn });
  }
}

class World {
  constructor(desk, facts, note) {
    Object.assign(this, { desk, facts, note, turn: 0 });
  }

  /** A dream from a start, with a seed of its noise. */
  async begin(start, seed) {
    const turn = ++this.turn;
    return new Dream(this.desk, turn, await this.desk.call("begin", { turn, start, seed }));
  }

  /** The dream of a saved moment. */
  async restore(bytes) {
    const turn = ++this.turn;
    const { buffer } = Uint8Array.from(bytes);
    return new Dream(this.desk, turn, await this.desk.call("restore", { turn, buffer }));
  }
}

/**
 * Open the world.
 * @param {URL} base where the page lies
 * @param {(done: number, of: number) => void} tell is told how far it is
 */
export async function openWorld(base, tell = () => {}) {
  if (typeof Worker !== "function" || typeof DecompressionStream !== "function") {
    throw new Error("this browser is too old: it has no module workers or DecompressionStream");
  }
  const threads = countThreads();
  if (threads > 1) await isolatePage();
  const told = { base: base.href, threads: crossOriginIsolated ? threads : 1, provider: "wasm" };
  if (new URLSearchParams(location.search).get("provider") !== "webgpu") {
    return openIn(tell, told, "");
  }
  if (!(await findAdapter())) {
    return openIn(tell, told, "There is no WebGPU here, so WebAssembly computes.");
  }
  try {
    return await openIn(tell, { ...told, provider: "webgpu" }, "WebGPU computes the networks.");
  } catch ({ message }) {
    const why = message.split("\n")[0].slice(0, MOST_REASON);
    return openIn(tell, told, `WebGPU cannot be used (${why}), so WebAssembly computes.`);
  }
}

/** The world in a worker of its own; `note` is what the player should know of it. */
async function openIn(tell, told, note) {
  const desk = new Desk(tell);
  try {
    return new World(desk, await desk.call("open", told), note);
  } catch (error) {
    desk.worker.terminate();
    throw error;
  }
}

/** As many threads as the address asks for (?threads=1), else as there are processors, up to 4. */
function countThreads() {
  const asked = Number(new URLSearchParams(location.search).get("threads"));
  if (Number.isInteger(asked) && asked > 0) return asked;
  return Math.min(MOST_THREADS, navigator.hardwareConcurrency);
}

/** Something that computes by WebGPU, where there is one. */
async function findAdapter() {
  return navigator.gpu?.requestAdapter().catch(() => null);
}
