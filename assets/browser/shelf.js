// One saved moment of each world, kept in the browser (IndexedDB).

const BASE = "worldsim";
const STORE = "moments";

const settle = (request) =>
  new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(new Error(`this browser keeps nothing: ${request.error.message}`));
  });

async function use(mode, action) {
  if (!self.indexedDB) throw new Error("this browser keeps nothing: download the moment instead");
  const opening = indexedDB.open(BASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const base = await settle(opening);
  try {
    return await settle(action(base.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    base.close();
  }
}

/** Keep a world's moment in place of an earlier one. */
export const putMoment = (world, bytes) => use("readwrite", (store) => store.put(bytes, world));

/** A world's moment, or undefined. */
export const getMoment = (world) => use("readonly", (store) => store.get(world));
