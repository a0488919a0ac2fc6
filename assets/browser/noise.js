// The noise of a dream's frame: the same function of seed and frame number as in Python
// (models/onnx_runtime/noise.py), up to the last bits of logarithm, sine and cosine.

const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
// Which word of a block each half of a mixing step takes, round by round (RFC 7693).
const ORDER = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8",
  "905724afe1bc683d", "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a",
  "6fe9b308c2d714a5", "a2847615fb9e3cd0",
];
const MIXED = ["048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e"];
const ROUNDS = 12;
const GROUP = 16; // numbers that are made normal at once: pairs lie eight apart

const wrap = (x) => BigInt.asUintN(64, x);
const rotate = (x, by) => wrap((x >> by) | (x << (64n - by)));
const digits = (text) => [...text].map((digit) => parseInt(digit, 16));

function mix(v, [a, b, c, d], x, y) {
  v[a] = wrap(v[a] + v[b] + x);
  v[d] = rotate(v[d] ^ v[a], 32n);
  v[c] = wrap(v[c] + v[d]);
  v[b] = rotate(v[b] ^ v[c], 24n);
  v[a] = wrap(v[a] + v[b] + y);
  v[d] = rotate(v[d] ^ v[a], 16n);
  v[c] = wrap(v[c] + v[d]);
  v[b] = rotate(v[b] ^ v[c], 63n);
}

/** BLAKE2b with a digest of 8 bytes, of a text of at most 128 bytes; the digest as a BigInt. */
export function hashText(text) {
  const block = new Uint8Array(128);
  const { written } = new TextEncoder().encodeInto(text, block);
  const words = new BigUint64Array(block.buffer);
  const first = IV[0] ^ 0x01010008n;
  const v = [first, ...IV.slice(1), ...IV];
  v[12] ^= BigInt(written);
  v[14] = wrap(~v[14]);
  for (let round = 0; round < ROUNDS; round++) {
    const taken = digits(ORDER[round % ORDER.length]);
    MIXED.forEach((places, i) => {
      mix(v, digits(places), words[taken[2 * i]], words[taken[2 * i + 1]]);
    });
  }
  return first ^ v[0] ^ v[8];
}

/** Numbers in [0, 1) of MT19937, 24 bits of each draw, as torch makes them. */
export function drawUniform(seed, count) {
  const size = 624;
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i++) {
    const before = state[i - 1] ^ (state[i - 1] >>> 30);
    state[i] = Math.imul(1812433253, before) + i;
  }
  return Float32Array.from({ length: count }, (_, i) => {
    if (i % size === 0) twist(state);
    return (temper(state[i % size]) & 0xffffff) * 2 ** -24;
  });
}

function twist(state) {
  const size = state.length;
  for (let i = 0; i < size; i++) {
    const joined = (state[i] & 0x80000000) | (state[(i + 1) % size] & 0x7fffffff);
    state[i] = state[(i + 397) % size] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
  }
}

function temper(x) {
  x ^= x >>> 11;
  x ^= (x << 7) & 0x9d2c5680;
  x ^= (x << 15) & 0xefc60000;
  return x ^ (x >>> 18);
}

/** Normal numbers of frame `count` of a dream; `number` must be a multiple of 16. */
export function drawFrameNoise(seed, count, number) {
  const uniform = drawUniform(Number((hashText(`${seed}/${count}`) >> 1n) & 0xffffffffn), number);
  const normal = new Float32Array(number);
  for (let i = 0; i < number; i++) {
    if (i % GROUP >= GROUP / 2) continue;
    const radius = Math.sqrt(-2 * Math.log(1 - uniform[i]));
    const angle = 2 * Math.PI * uniform[i + GROUP / 2];
    normal[i] = radius * Math.cos(angle);
    normal[i + GROUP / 2] = radius * Math.sin(angle);
  }
  return normal;
}
