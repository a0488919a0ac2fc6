// Which motion a dreaming body makes: the twin of models/memory/motion_draw.py.

/** The uniform number in [0, 1) of a frame's noise. */
export function drawChance(noise, { digits }) {
  const large = noise[0] * digits;
  return large - Math.floor(large);
}

/**
 * The motion, of those offered with logits, by a chance in [0, 1).
 * @param {Float32Array} logits of each motion
 * @param {Float32Array} motions ahead, left and up of each
 * @param {number} chance
 * @param {{least: number}} facts share of the likeliest motion's probability below which none is
 *   drawn
 */
export function drawMotion(logits, motions, chance, { least }) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const shares = Array.from(logits, (logit) => Math.exp(Math.fround(logit - most)));
  let sum = 0;
  const below = shares.map((share) => (sum += share < least ? 0 : share));
  const drawn = below.findIndex((part) => part > chance * sum);
  return motions.slice(3 * drawn, 3 * drawn + 3);
}
