// Threads share memory only in a page that is isolated from other origins, which its host says by
// two headers. Where the host does not send them, a service worker (headers.js) adds them.

const TRIED = "worldsim-isolation";
const PATIENCE = 5000; // milliseconds until the page goes on with one thread

/** Have the page isolated, by loading it once more; where that cannot be, it stays as it is. */
export async function isolatePage() {
  try {
    if (crossOriginIsolated) sessionStorage.removeItem(TRIED);
    else if (!sessionStorage.getItem(TRIED) && (await addHeaders())) {
      sessionStorage.setItem(TRIED, "yes"); // else a page that stays as it is would load for ever
      location.reload();
      await new Promise(() => {}); // until that has happened
    }
  } catch {
    // a browser that keeps nothing: one thread plays too
  }
}

/** Whether the service worker is there. */
async function addHeaders() {
  if (!navigator.serviceWorker) return false; // too old, or an address without TLS
  const file = new URL("./headers.js", import.meta.url);
  const adding = navigator.serviceWorker.register(file).then(() => navigator.serviceWorker.ready);
  const waiting = new Promise((done) => setTimeout(done, PATIENCE, null));
  return (await Promise.race([adding, waiting])) !== null;
}
