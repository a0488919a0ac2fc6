// A service worker: adds to everything of this folder the two headers that a browser wants before a
// page's threads may share memory, for hosts that do not send them (isolation.js asks for it).

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { cache, mode } = event.request;
  if (cache === "only-if-cached" && mode !== "same-origin") return; // a browser refuses to fetch it
  event.respondWith(fetchFile(event.request));
});

/** What the host answers, with those headers. */
async function fetchFile(request) {
  const answer = await fetch(request);
  const { body, status, statusText } = answer;
  if (status === 0) return answer; // a redirection, which only the browser may read
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(body, { status, statusText, headers });
}
