// One step of the sampler, in float32 as models/nn/flow_matching.py computes it.

const round = Math.fround;

/**
 * Latents a step of `length` below noise level `level`, where the network says `clean`.
 * @param {number} order 1: Euler's step; 2: by the velocity extrapolated from the step before
 * @param {Float32Array} x noisy latents
 * @param {Float32Array} clean
 * @param {Float32Array | null} before velocity of the step before; null: there was none
 * @returns {{x: Float32Array, velocity: Float32Array | null}} of the next level, for the next step
 */
export function takeStep(order, x, clean, before, { level, length }) {
  if (order === 1) {
    const part = round(length / level);
    const next = (noisy, i) => round(noisy - round(part * round(noisy - clean[i])));
    return { x: x.map(next), velocity: null };
  }
  const velocity = x.map((noisy, i) => round(round(noisy - clean[i]) / level));
  const mean = before
    ? velocity.map((now, i) => round(round(1.5 * now) - round(0.5 * before[i])))
    : velocity;
  return { x: x.map((noisy, i) => round(noisy - round(length * mean[i]))), velocity };
}
