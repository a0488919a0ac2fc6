// The page: keys and buttons move a dream, each frame is drawn; a link replays a walk.

import { openWorld } from "./engine.js";

const find = (id) => document.getElementById(id);
const say = (text) => (find("status").textContent = text);
const canvas = find("screen").getContext("2d", { willReadFrequently: true }); // small: no GPU
const held = []; // actions of keys and buttons that are down, the newest last
let tapped = null; // an action that was asked for since the last frame
let world = null;
let dream = null;
let turn = 0; // of the newest start: a frame of an older dream is not drawn

/** What the address says of a walk: #start=0&seed=1&moves=2201 */
function readLink() {
  const told = new URLSearchParams(location.hash.slice(1));
  const number = (name, most) => {
    const value = Number(told.get(name) ?? 0);
    return Number.isInteger(value) && value >= 0 && value <= most ? value : 0;
  };
  const { starts, actions } = world.facts;
  const moves = [...(told.get("moves") ?? "")].map((digit) => parseInt(digit, 36));
  return {
    start: number("start", starts.length - 1),
    seed: told.has("seed") ? number("seed", 2 ** 31) : Math.floor(Math.random() * 2 ** 31),
    moves: moves.filter((action) => action < actions.length),
  };
}

function writeLink() {
  const moves = dream.moves.map((action) => action.toString(36)).join("");
  const told = new URLSearchParams({ start: find("starts").value, seed: dream.seed, moves });
  history.replaceState(null, "", `#${told}`);
  return location.href;
}

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

async function begin(start, seed, moves = []) {
  const mine = ++turn;
  const begun = await world.begin(start, seed);
  if (mine !== turn) return;
  dream = begun;
  find("starts").value = start;
  draw();
  for (const [i, move] of moves.entries()) {
    say(`Walking the link's way: ${i + 1} of ${moves.length}`);
    await begun.step(move);
    if (mine !== turn) return;
    draw();
  }
  say(world.facts.hint);
  document.body.dataset.state = "ready";
  guard(play(mine));
}

/** Make frames while something is held, no faster than the world's pace. */
async function play(mine) {
  const pace = 1000 / world.facts.fps;
  while (mine === turn) {
    const begun = performance.now();
    const action = held.at(-1) ?? tapped;
    tapped = null;
    if (action !== null && action !== undefined) {
      await dream.step(action);
      if (mine === turn) draw();
    }
    const rest = pace - (performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(rest, 0)));
  }
}

function press(action) {
  tapped = action;
  if (!held.includes(action)) held.push(action);
}

function release(action) {
  if (held.includes(action)) held.splice(held.indexOf(action), 1);
}

function listen() {
  const actions = world.facts.actions;
  const ofKey = (event) => {
    const key = event.key.toLowerCase().replace("arrow", "");
    return event.ctrlKey || event.altKey || event.metaKey
      ? -1
      : actions.findIndex((action) => action.keys.includes(key));
  };
  addEventListener("keydown", (event) => {
    const action = ofKey(event);
    if (action < 0) return;
    event.preventDefault();
    if (!event.repeat) press(action);
  });
  addEventListener("keyup", (event) => release(ofKey(event)));
  addEventListener("blur", () => held.splice(0));
  addEventListener("told", (event) => say(event.detail)); // by the engine
  actions.forEach((action, id) => {
    const button = document.createElement("button");
    button.textContent = action.name;
    button.addEventListener("pointerdown", () => press(id));
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
      button.addEventListener(end, () => release(id));
    }
    find("actions").append(button);
  });
  const again = () => guard(begin(Number(find("starts").value), dream.seed));
  find("starts").addEventListener("change", (event) => {
    event.target.blur(); // else arrow keys choose another start
    again();
  });
  find("again").addEventListener("click", again);
  find("link").addEventListener("click", () => {
    const link = writeLink();
    navigator.clipboard?.writeText(link).catch(() => {});
    say("The address bar has the link of this walk.");
  });
}

function guard(promise) {
  return promise.catch((error) => {
    document.body.dataset.state = "failed";
    say(`It does not work: ${error.message}`);
  });
}

async function main() {
  const base = new URL("./", location.href);
  world = await openWorld(base, (done, of) => say(`Opening the network: ${done} of ${of}`));
  const { title, starts, frame_size: size } = world.facts;
  document.title = title;
  find("title").textContent = title;
  Object.assign(find("screen"), { width: size, height: size });
  starts.forEach(({ name }, i) => find("starts").add(new Option(name, i)));
  listen();
  const { start, seed, moves } = readLink();
  await begin(start, seed, moves);
}

guard(main());
