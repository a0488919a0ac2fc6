// Places where the body has stood: the twin of `remember_places` in models/memory/stood.py.

const round = Math.fround;

/**
 * Write the place of frame `number`, and that half way to it, to the ring.
 * @param {Float32Array} stood x, y and height of each place
 * @param {Float32Array} before pose of the frame before
 * @param {Float32Array} after pose of the frame
 * @param {{places: number, apart: number, longest: number}} facts places of the ring; distance
 *   below which a place is one that is held, 0: none is kept; the farthest that a body goes
 * @param {Journal} journal of what is written over
 */
export function rememberPlaces(stood, before, after, number, { places, apart, longest }, journal) {
  if (!apart || !longest) return;
  const [start, end] = [before, after].map(([x, y, , height]) => [x, y, height]);
  const middle = start.map((from, axis) => round(round(from + end[axis]) / 2));
  const went = squareDistance(start, end, 0) <= round(longest * longest);
  [middle, end].forEach((place, which) => {
    let away = Infinity;
    for (let at = 0; at < stood.length; at += 3) away = Math.min(away, squareDistance(stood, place, at));
    if (away <= round(apart * apart) || !(went || which === 1)) return;
    const slot = (2 * number + which) % places;
    journal.keep(stood, 3 * slot, 3 * slot + 3);
    stood.set(place, 3 * slot);
  });
}

/** Square of the distance from the three numbers at a place of an array to three others. */
function squareDistance(array, other, at) {
  const [x, y, z] = other.map((number, axis) => round(array[at + axis] - number));
  return round(round(round(x * x) + round(y * y)) + round(z * z));
}
