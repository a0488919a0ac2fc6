// What dreams for this page: here the browser itself. `worldsim serve` puts another file in this
// place (assets/serve/engine.js), with the same `openWorld`, whose dreams are made on the server.

export { openWorld } from "./world.js";
