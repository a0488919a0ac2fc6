// A moment of a dream as a file: what it remembers, and the walk that led there. The file belongs to
// one export of one world, whose identity it carries.

import { readArrays, readHeader, writeArrays } from "./arrays.js";
import { checkSum } from "./checksum.js";
import { BANK, EMPTY } from "./memory.js";

const FORMAT = "worldsim page moment";
const VERSION = "2";

/** The file of a dream as it is now. */
export function packMoment(dream) {
  const { facts, bank, cache, start, seed, moves } = dream;
  const used = bank.ids.filter((id) => id !== BigInt(EMPTY)).length; // the first slots
  const arrays = {};
  for (const name of BANK) {
    const size = bank[name].length / facts.sizes.slots;
    arrays[`bank.${name}`] = bank[name].subarray(0, used * size);
  }
  for (const name of ["k", "v", "ids"]) arrays[`cache.${name}`] = cache[name];
  arrays.frame = BigInt64Array.of(BigInt(dream.number));
  arrays.pose = dream.pose;
  arrays.climb = dream.climb;
  arrays.stood = dream.stood;
  arrays.newest = dream.frame;
  arrays.inverse_depth = dream.inverseDepth;
  const told = {
    format: FORMAT, version: VERSION, world: facts.identity, title: facts.title,
    start: `${start}`, seed: `${seed}`, moves: JSON.stringify(moves),
  };
  return writeArrays(arrays, (content, entries) => ({ ...told, crc32: sum(told, entries, content) }));
}

/** Checksums of a file's header and of its arrays. */
function sum(metadata, entries, content) {
  const { crc32, ...rest } = metadata;
  const header = new TextEncoder().encode(JSON.stringify([rest, entries]));
  return `${checkSum(header)} ${checkSum(content)}`;
}

/**
 * The arrays and the walk of a file.
 * @throws {Error} a sentence for the player: no such file, another version or world, damaged
 */
export function unpackMoment(facts, buffer) {
  const { metadata, entries, content } = open(buffer);
  if (metadata.format !== FORMAT) throw new Error("this file is no saved moment of a dream");
  if (metadata.version !== VERSION) {
    throw new Error(`this moment has version ${metadata.version}, this page reads ${VERSION}`);
  }
  if (metadata.world !== facts.identity) {
    throw new Error(`this moment belongs to another world (${metadata.title}) or another build of it`);
  }
  const walk = readWalk(facts, metadata);
  if (sum(metadata, entries, content) !== metadata.crc32 || !walk) throw new Error(DAMAGED);
  const arrays = readArrays(buffer);
  checkLengths(facts, arrays);
  return { arrays, walk };
}

const DAMAGED = "this moment's file is damaged: save or download it anew";

function open(buffer) {
  try {
    return readHeader(buffer);
  } catch {
    throw new Error("this file is no saved moment of a dream, or it is damaged");
  }
}

function readWalk({ starts, actions }, { start, seed, moves }) {
  try {
    const walk = { start: Number(start), seed: Number(seed), moves: JSON.parse(moves) };
    const isBelow = (limit) => (x) => Number.isInteger(x) && x >= 0 && x < limit;
    const fits = isBelow(starts.length)(walk.start) && isBelow(2 ** 53)(walk.seed);
    return fits && walk.moves.every(isBelow(actions.length)) ? walk : null;
  } catch {
    return null;
  }
}

function checkLengths({ sizes, spans, stood, cache_shape: shape }, arrays) {
  const { slots, pixels, depths, cells } = sizes;
  const used = arrays["bank.ids"]?.length;
  const values = shape.reduce((a, b) => a * b);
  const frames = Object.values(spans).reduce((most, span) => Math.max(most, span.frame + span.count), 0);
  const expected = {
    "bank.rgba": 4 * pixels * used, "bank.inverse_depth": depths * used, "bank.poses": 4 * used,
    "bank.points": 3 * cells * used, "bank.fresh": cells * used, "bank.ids": used,
    "cache.k": values, "cache.v": values, "cache.ids": frames,
    frame: 1, pose: 4, climb: 1, stood: 3 * stood.places, newest: 3 * pixels, inverse_depth: depths,
  };
  const names = Object.keys(expected);
  const fits = names.every((name) => arrays[name]?.length === expected[name]);
  if (!fits || Object.keys(arrays).length !== names.length || used > slots) throw new Error(DAMAGED);
}
