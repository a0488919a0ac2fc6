// The page: what a player asks for moves a dream, each frame is drawn; dreams are taken back, saved,
// shared as a link, downloaded.

import { BACK, Controls } from "./controls.js";
import { openWorld } from "./engine.js";
import { encodePng, Film } from "./film.js";
import { getMoment, putMoment } from "./shelf.js";
import { readLink, writeLink } from "./walk.js";

const PICTURE = 8; // pixels of a side that a frame's pixel becomes in a picture, and in a film
const FILM = 4;

const find = (id) => document.getElementById(id);
const say = (text) => (find("status").textContent = text);
const canvas = find("screen").getContext("2d", { willReadFrequently: true }); // small: no GPU
let world = null;
let controls = null;
let dream = null;
let film = new Film();
let turn = 0; // of the newest dream that was asked for
let running = Promise.resolve(); // until the loop that plays the present dream has ended

function draw() {
  const size = world.facts.frame_size;
  const picture = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    picture.data.set(dream.frame.subarray(3 * i, 3 * i + 3), 4 * i);
    picture.data[4 * i + 3] = 255;
  }
  canvas.putImageData(picture, 0, 0);
  document.body.dataset.frame = dream.count;
}

/** Take another dream in place of this one, once its frame is made; `make` promises it. */
function change(make, moves = [], hint = world.facts.hint) {
  const mine = ++turn;
  controls.wake();
  running = running.then(() => (mine === turn ? live(mine, make, moves, hint) : null)).catch(fail);
}

async function live(mine, make, moves, hint) {
  if (await take(make)) say(hint);
  for (const [i, move] of moves.entries()) {
    say(`Walking the link's way: ${i + 1} of ${moves.length}`);
    await advance(move);
    if (mine !== turn) return;
    say(hint);
  }
  document.body.dataset.state = "ready";
  await play(mine);
}

/** Whether the dream could be made; if not, the one before goes on. */
async function take(make) {
  try {
    dream = await make();
  } catch (error) {
    if (!dream) throw error;
    say(`That did not work: ${error.message}.`);
    return false;
  }
  film = new Film();
  film.push(dream.frame);
  find("starts").value = dream.start;
  draw();
  return true;
}

/** Make frames while something is held, no faster than the world's pace. */
async function play(mine) {
  const pace = 1000 / world.facts.fps;
  while (mine === turn) {
    const asked = controls.take();
    if (asked === null) {
      await controls.rest(pace);
      continue;
    }
    const begun = performance.now();
    await (asked === BACK ? goBack() : advance(asked)).catch(excuse);
    const rest = pace - (performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(rest, 0)));
  }
}

async function advance(action) {
  film.push(await dream.step(action));
  draw();
}

async function goBack() {
  if (dream.count <= (dream.earliest ?? dream.origin ?? 0)) {
    say("That is as far back as it goes.");
    return;
  }
  await dream.rewind(dream.count - 1);
  film.pop();
  draw();
}

/** A frame could not be made: the dream is as before. */
function excuse(error) {
  if (error.final) throw error;
  controls.clear();
  say(`That did not work: ${error.message}.`);
}

function fail(error) {
  document.body.dataset.state = "failed";
  say(`It does not work: ${error.message}`);
}

function download(content, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content]));
  const title = world.facts.title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  link.download = `${title}-${dream.count}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** What the buttons do. */
const TOOLS = {
  async again() {
    const { start, seed } = { start: Number(find("starts").value), seed: dream.seed };
    change(() => world.begin(start, seed));
  },
  async link() {
    const link = writeLink(dream);
    say("The address bar has the link of this walk; it is copied too, where the browser allows it.");
    await navigator.clipboard?.writeText(link).catch(() => {}); // may ask the player first
  },
  async save() {
    const { count } = dream;
    await putMoment(world.facts.identity, await dream.save());
    say(`Frame ${count} is saved in this browser, in place of what was saved before.`);
  },
  async load() {
    const bytes = await getMoment(world.facts.identity);
    if (!bytes) say("Nothing of this world is saved in this browser yet.");
    else change(() => world.restore(bytes));
  },
  async download() {
    download(await dream.save(), "moment");
  },
  async open() {
    find("file").click();
  },
  async picture() {
    const { frame_size: size, fps } = world.facts;
    download(await encodePng([dream.frame], size, fps, PICTURE), "png");
  },
  async film() {
    const { frames } = film;
    say(`Writing a film of ${frames.length} frames`);
    const { frame_size: size, fps } = world.facts;
    download(await encodePng([...frames], size, fps, FILM), "png");
    say(`The film is an animated PNG of the last ${frames.length} frames.`);
  },
};

function listen() {
  controls = new Controls(world.facts.actions);
  controls.listen();
  world.facts.actions.forEach(({ name, keys }, id) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.title = keys.join(" or ");
    controls.bind(button, id);
    find("actions").append(button);
  });
  controls.bind(find("back"), BACK);
  for (const [name, act] of Object.entries(TOOLS)) {
    find(name).addEventListener("click", () => act().catch(excuse));
  }
  find("starts").addEventListener("change", (event) => {
    event.target.blur(); // else arrow keys choose another start
    TOOLS.again();
  });
  find("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    target.value = ""; // so that the same file can be opened again
    change(() => world.restore(bytes));
  });
}

/** Hide what this engine does not offer. */
function hideMissing() {
  const isSaving = "identity" in world.facts;
  for (const id of ["save", "load", "download", "open"]) find(id).hidden = !isSaving;
}

async function main() {
  addEventListener("told", (event) => say(event.detail)); // by the engine
  const base = new URL("./", location.href);
  world = await openWorld(base, (done, of) => say(`Opening the network: ${done} of ${of}`));
  const { title, starts, frame_size: size, threads = 0 } = world.facts;
  document.body.dataset.threads = threads; // 0: something else than this browser computes
  document.title = title;
  find("title").textContent = title;
  Object.assign(find("screen"), { width: size, height: size });
  starts.forEach(({ name }, i) => find("starts").add(new Option(name, i)));
  listen();
  hideMissing();
  const { start, seed, moves, isWhole } = readLink(world.facts);
  const left = isWhole ? "" : "What does not fit this world was left out of the link.";
  const hint = [world.note, left, world.facts.hint].filter(Boolean).join(" ");
  change(() => world.begin(start, seed), moves, hint);
}

main().catch(fail);
