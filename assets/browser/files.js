// Fetches the page's files, and checks that they are whole.

import { checkSum } from "./checksum.js";

const GZIP = 0x8b1f; // the first two bytes

/**
 * The content of a file of the page. One that is not what page.json says may be of an older page
 * that the browser has kept, so it is fetched once more, past what is kept.
 * @param {URL} base the page's folder
 * @param {string} name
 * @param {{bytes: number, crc32: number, packed?: boolean}} [told] what page.json says of it;
 *   `packed`: it lies there as NAME.gz
 * @returns {Promise<ArrayBuffer>}
 */
export async function readFile(base, name, told = null) {
  const file = told?.packed ? `${name}.gz` : name;
  if (!told) return await fetchFile(base, file, "no-cache");
  for (const cache of ["default", "reload"]) {
    const buffer = await unpack(await fetchFile(base, file, cache), told.packed);
    if (buffer?.byteLength === told.bytes && checkSum(new Uint8Array(buffer)) === told.crc32) {
      return buffer;
    }
  }
  throw new Error(`${file} is damaged: reload the page, or tell who put it here`);
}

async function fetchFile(base, file, cache) {
  let answer = null;
  try {
    answer = await fetch(new URL(file, base), { cache });
    if (answer.ok) return await answer.arrayBuffer();
  } catch {
    throw new Error(`${file} cannot be fetched: there is no connection; reload to try again`);
  }
  throw new Error(`${file} cannot be fetched (${answer.status})`);
}

/** Some hosts have browsers unpack what ends in .gz; then it is left as it is. Null: damaged. */
async function unpack(buffer, packed) {
  const isPacked = buffer.byteLength > 2 && new DataView(buffer).getUint16(0, true) === GZIP;
  if (!packed || !isPacked) return buffer;
  try {
    const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).arrayBuffer();
  } catch {
    return null;
  }
}
