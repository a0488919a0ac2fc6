// Opens what `worldsim page` wrote: its facts, its graphs by ONNX Runtime Web, its starts.

import { readArrays } from "./arrays.js";
import { Dream } from "./dream.js";
import { readFile } from "./files.js";
import { unpackMoment } from "./state.js";

const VERSION = 5;
const ARRAYS = {
  float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array,
};
// Networks, which a GPU is for. WebAssembly computes the graphs that gather and scatter: by WebGPU, ONNX
// Runtime Web 1.30 chose other slots, and drew another view when it was given the same a second time.
const BY_WEBGPU = ["encode", "context_fine", "context_coarse", "denoise", "finish"];
const WASM = "ort/ort-wasm-simd-threaded.wasm";

/** A world whose dreams can be begun. */
class World {
  constructor(base, facts, graphs) {
    Object.assign(this, { base, facts, graphs });
  }

  /** A dream from a start, with a seed of its noise. */
  async begin(start, seed) {
    const { file } = this.facts.starts[start];
    const arrays = readArrays(await readFile(this.base, file, this.facts.files[file]));
    return new Dream(this.facts, this.graphs, arrays, { start, seed });
  }

  /** The dream of a saved moment. */
  restore(buffer) {
    const { arrays, walk } = unpackMoment(this.facts, buffer);
    return new Dream(this.facts, this.graphs, arrays, walk);
  }
}

/**
 * Open a world.
 * @param {URL} base its folder
 * @param {(done: number, of: number) => void} tell is told how far it is
 * @param {"wasm" | "webgpu"} provider who computes the networks
 * @param {number} threads of WebAssembly; more than one only in a page that may share memory
 */
export async function openWorld(base, tell = () => {}, provider = "wasm", threads = 1) {
  if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly");
  const facts = await readFacts(base);
  if (facts.version !== VERSION) {
    throw new Error(`page.json has version ${facts.version}, this page plays ${VERSION}: reload`);
  }
  const ort = await openRuntime(base, facts, provider, threads);
  const weights = new Uint8Array(await readFile(base, facts.weights, facts.files[facts.weights]));
  const graphs = {};
  const specs = Object.entries(facts.graphs);
  for (const [i, [name, spec]] of specs.entries()) {
    tell(i, specs.length);
    const bytes = new Uint8Array(await readFile(base, spec.file, facts.files[spec.file]));
    const who = BY_WEBGPU.includes(name) ? provider : "wasm";
    graphs[name] = await openGraph(ort, bytes, spec, { facts, weights, provider: who });
  }
  return new World(base, facts, graphs);
}

/** What page.json says. */
async function readFacts(base) {
  const text = new TextDecoder().decode(await readFile(base, "page.json"));
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("page.json is damaged: reload the page, or tell who put it here");
  }
}

/** ONNX Runtime Web; the build that knows WebGPU is larger and only fetched when asked for. */
async function openRuntime(base, facts, provider, threads) {
  const build = provider === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
  const ort = await import(`./ort/${build}`).catch(() => {
    throw new Error(`ort/${build} cannot be fetched: reload to try again`);
  });
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  if (provider === "wasm") ort.env.wasm.wasmBinary = await readFile(base, WASM, facts.files[WASM]);
  ort.env.wasm.numThreads = threads;
  return ort;
}

async function openGraph(ort, bytes, spec, { facts, weights, provider }) {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [provider],
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
