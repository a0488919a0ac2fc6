// Links of walks: #start=0&seed=1&moves=2201

const MOST_SEED = 2 ** 31;

/** What the address says of a walk; `isWhole` is false where a part of it was left out. */
export function readLink({ starts, actions }) {
  const told = new URLSearchParams(location.hash.slice(1));
  const read = (name, most, otherwise) => {
    const value = Number(told.get(name) ?? otherwise);
    const fits = Number.isInteger(value) && value >= 0 && value <= most;
    return { value: fits ? value : otherwise, fits };
  };
  const start = read("start", starts.length - 1, 0);
  const seed = read("seed", MOST_SEED, Math.floor(Math.random() * MOST_SEED));
  const digits = [...(told.get("moves") ?? "")].map((digit) => parseInt(digit, 36));
  const moves = digits.filter((action) => action < actions.length);
  const isWhole = start.fits && seed.fits && moves.length === digits.length;
  return { start: start.value, seed: seed.value, moves, isWhole };
}

/** Write a dream's walk into the address, which is given. */
export function writeLink({ start, seed, moves }) {
  const digits = moves.map((action) => action.toString(36)).join("");
  history.replaceState(null, "", `#${new URLSearchParams({ start, seed, moves: digits })}`);
  return location.href;
}
