// Files of arrays (safetensors), and half-precision numbers.

const VIEWS = {
  F32: Float32Array, I64: BigInt64Array, I32: Int32Array, U8: Uint8Array, BOOL: Uint8Array,
};

/** What a safetensors file says of itself, and the rest of its bytes. */
export function readHeader(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const { __metadata__: metadata = {}, ...entries } = header;
  return { metadata, entries, length, content: new Uint8Array(buffer, 8 + length) };
}

/** Name -> array of a safetensors file. F16 becomes float32. */
export function readArrays(buffer) {
  const { entries, length } = readHeader(buffer);
  const found = {};
  for (const [name, entry] of Object.entries(entries)) {
    const [from, to] = entry.data_offsets.map((offset) => 8 + length + offset);
    const bytes = buffer.slice(from, to); // its offset may not be a multiple of the item's size
    found[name] =
      entry.dtype === "F16"
        ? Float32Array.from(new Uint16Array(bytes), readHalf)
        : new VIEWS[entry.dtype](bytes);
  }
  return found;
}

/**
 * A safetensors file.
 * @param {object} arrays by name
 * @param {(content: Uint8Array, entries: object) => object} describe gives the metadata, texts by
 *   name, of the rest
 * @returns {Uint8Array}
 */
export function writeArrays(arrays, describe) {
  const entries = {};
  let end = 0;
  for (const [name, part] of Object.entries(arrays)) {
    const dtype = Object.keys(VIEWS).find((key) => part instanceof VIEWS[key]);
    entries[name] = { dtype, shape: [part.length], data_offsets: [end, (end += part.byteLength)] };
  }
  const content = new Uint8Array(end);
  for (const [name, { buffer, byteOffset, byteLength }] of Object.entries(arrays)) {
    content.set(new Uint8Array(buffer, byteOffset, byteLength), entries[name].data_offsets[0]);
  }
  const text = JSON.stringify({ __metadata__: describe(content, entries), ...entries });
  const header = new TextEncoder().encode(text.padEnd(8 * Math.ceil(text.length / 8)));
  const file = new Uint8Array(8 + header.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  file.set(content, 8 + header.length);
  return file;
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
