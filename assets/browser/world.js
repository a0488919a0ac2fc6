// Opens what `worldsim page` wrote: its facts, its graphs by ONNX Runtime Web, its starts.

import * as ort from "./ort/ort.wasm.min.mjs";
import { readArrays } from "./arrays.js";
import { Dream } from "./dream.js";

const VERSION = 1;
const ARRAYS = {
  float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array,
};
const MOST_THREADS = 4;

/** A world whose dreams can be begun. */
class World {
  constructor(base, facts, graphs) {
    Object.assign(this, { base, facts, graphs });
  }

  /** A dream from a start, with a seed of its noise. */
  async begin(start, seed) {
    const buffer = await read(this.base, this.facts.starts[start].file);
    return new Dream(this.facts, this.graphs, readArrays(buffer), seed);
  }
}

/**
 * Open a world.
 * @param {URL} base its folder
 * @param {(done: number, of: number) => void} tell is told how far it is
 */
export async function openWorld(base, tell = () => {}) {
  if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  // Threads share memory, which a page may only do where its host sends the headers for it.
  ort.env.wasm.numThreads = self.crossOriginIsolated
    ? Math.min(MOST_THREADS, navigator.hardwareConcurrency)
    : 1;
  const facts = JSON.parse(new TextDecoder().decode(await read(base, "page.json")));
  if (facts.version !== VERSION) {
    throw new Error(`page.json has version ${facts.version}, this page plays ${VERSION}`);
  }
  const weights = new Uint8Array(await read(base, facts.weights));
  const graphs = {};
  const specs = Object.entries(facts.graphs);
  for (const [i, [name, spec]] of specs.entries()) {
    tell(i, specs.length);
    graphs[name] = await openGraph(new Uint8Array(await read(base, spec.file)), spec, facts, weights);
  }
  return new World(base, facts, graphs);
}

async function openGraph(bytes, spec, facts, weights) {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["wasm"],
    externalData: [{ path: facts.weights, data: weights }],
    logSeverityLevel: 3,
  });
  const inputs = Object.entries(spec.inputs);
  return async (...given) => {
    const feeds = inputs.map(([name, { dtype, shape }], i) => {
      const kind = ARRAYS[dtype];
      const from = kind === BigInt64Array && Array.isArray(given[i]) ? given[i].map(BigInt) : given[i];
      return [name, new ort.Tensor(dtype, from instanceof kind ? from : kind.from(from), shape)];
    });
    const made = await session.run(Object.fromEntries(feeds));
    return Object.keys(spec.outputs).map((name) => made[name].data);
  };
}

async function read(base, file) {
  const answer = await fetch(new URL(file, base));
  if (!answer.ok) throw new Error(`${file} cannot be fetched (${answer.status})`);
  return answer.arrayBuffer();
}
