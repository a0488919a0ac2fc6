// Arrays of a start's file (safetensors), and half-precision numbers.

const VIEWS = { F32: Float32Array, I64: BigInt64Array, U8: Uint8Array, BOOL: Uint8Array };

/** Name -> array of a safetensors file. F16 becomes float32. */
export function readArrays(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const found = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [from, to] = entry.data_offsets.map((offset) => 8 + length + offset);
    const bytes = buffer.slice(from, to); // its offset may not be a multiple of the item's size
    found[name] =
      entry.dtype === "F16"
        ? Float32Array.from(new Uint16Array(bytes), readHalf)
        : new VIEWS[entry.dtype](bytes);
  }
  return found;
}

/** The number of 16 bits. */
export function readHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 31;
  const part = bits & 1023;
  if (power === 0) return sign * part * 2 ** -24;
  if (power === 31) return part ? NaN : sign * Infinity;
  return sign * (1 + part / 1024) * 2 ** (power - 15);
}

/** The nearest number that half precision has, for numbers in its normal range. */
export function roundToHalf(x) {
  const scaled = x * (2 ** 42 + 1); // Veltkamp: 11 of a double's 53 bits stay
  return scaled - (scaled - x);
}
