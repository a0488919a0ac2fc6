// A world that a server dreams (worldsim/serve): what world.js offers, over a WebSocket. A lost
// connection is made again and the session resumed, with the step that was asked.

const VERSION = 1;
const FORMATS = { 1: "image/png", 2: "image/jpeg", 3: "image/webp" };
const HEADER = 12; // bytes: kind, format, nothing, turn, step
const PATIENCE = 120; // seconds in which a connection is tried again
const MOST_PAUSE = 5;
const FINAL = [4001, 4002]; // opened somewhere else, idle: not to be undone by itself
const KEPT = "worldsim-session";

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
/** Tell the player; page.js listens. */
const say = (text) => dispatchEvent(new CustomEvent("told", { detail: text }));

/** A connection that outlives its sockets. */
class Server {
  constructor(base) {
    this.address = new URL("play", base);
    this.address.protocol = this.address.protocol.replace("http", "ws");
    this.session = sessionStorage.getItem(KEPT);
    this.closed = null; // the last socket's end
    this.asked = null; // what is waited for: { message, fits, done, fail }
  }

  /** Connect; what the server says first. */
  async open() {
    const began = performance.now();
    for (let pause = 0.25; ; pause = Math.min(2 * pause, MOST_PAUSE)) {
      try {
        return await this.#connect();
      } catch (error) {
        if (error.final || performance.now() - began > 1000 * PATIENCE) throw error;
        say("The connection is lost; trying again");
        await wait(pause);
      }
    }
  }

  #connect() {
    if (this.session) this.address.searchParams.set("session", this.session);
    const format = new URLSearchParams(location.search).get("format");
    if (format) this.address.searchParams.set("format", format);
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    return new Promise((done, fail) => {
      let welcome = null;
      let refused = null;
      socket.onmessage = ({ data }) => {
        const told = typeof data === "string" ? JSON.parse(data) : data;
        if (told.type === "error" && !welcome) refused = final(told.message);
        if (told.type === "welcome") {
          welcome = told;
          this.socket = socket;
          this.session = told.session;
          sessionStorage.setItem(KEPT, told.session);
          done(told);
        } else this.#take(told);
      };
      socket.onclose = ({ code, reason }) => {
        if (!welcome) fail(refused ?? new Error("the server does not answer"));
        else this.#lose(code, reason);
      };
    });
  }

  /** Ask for something; the first message that `fits` is the answer. */
  ask(message, fits) {
    return new Promise((done, fail) => {
      this.asked = { message, fits, done, fail };
      if (this.socket?.readyState === WebSocket.OPEN) this.#send();
      else if (!this.opening) this.#reopen();
    });
  }

  #send() {
    const { message } = this.asked;
    if (message) this.socket.send(JSON.stringify(message));
  }

  /** Fetch or send the present moment: the server's answer. */
  async state(options) {
    const address = new URL("state", this.address.href.replace(/^ws/, "http"));
    address.searchParams.set("session", this.session);
    const answer = await fetch(address, options).catch(() => {
      throw new Error("the server does not answer");
    });
    if (!answer.ok) throw new Error((await answer.json()).message);
    return answer;
  }

  #take(told) {
    const { asked } = this;
    if (told.type === "error") {
      if (told.code === "busy" && asked) wait(0.1).then(() => this.asked === asked && this.#send());
      else if (told.code === "not_kept") say(told.message);
      else this.#settle("fail", new Error(told.message));
    } else if (asked?.fits(told)) this.#settle("done", told);
  }

  #settle(how, value) {
    const { asked } = this;
    this.asked = null;
    asked?.[how](value);
  }

  #lose(code, reason) {
    if (FINAL.includes(code)) {
      this.#settle("fail", final(reason));
      say(`${reason}. Reload the page to go on.`);
    } else if (this.asked && !this.opening) this.#reopen();
  }

  async #reopen() {
    this.opening = true;
    try {
      const welcome = await this.open();
      if (welcome.why) throw final(`${welcome.why} by reloading the page`);
      say("Connected again");
      if (this.asked) this.#send();
    } catch (error) {
      this.#settle("fail", error);
    } finally {
      this.opening = false;
    }
  }
}

const final = (text) => Object.assign(new Error(text), { final: true });

const readHeader = (told) => {
  const view = new DataView(told);
  const [format, turn, step] = [view.getUint8(1), view.getUint32(4, true), view.getUint32(8, true)];
  return { format, turn, step };
};

const isFrame = (turn, step) => (told) => {
  if (!(told instanceof ArrayBuffer)) return false;
  const header = readHeader(told);
  return header.turn === turn && header.step === step;
};

/** RGB of a frame's message. */
async function decode(told) {
  const blob = new Blob([new Uint8Array(told, HEADER)], { type: FORMATS[readHeader(told).format] });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const screen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  screen.drawImage(bitmap, 0, 0);
  const { data } = screen.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: 3 * width * height }, (_, i) => data[i + Math.floor(i / 3)]);
}

/** A dream that the server makes. */
class Dream {
  constructor(server, told, frame) {
    const { turn, start, seed, origin, earliest, count } = told;
    const moves = [...told.moves].map((digit) => parseInt(digit, 36));
    Object.assign(this, { server, turn, start, seed, origin, earliest, count, moves, frame });
  }

  /** Dream the next frame: RGB. */
  async step(action) {
    const step = this.count + 1;
    const message = { type: "step", turn: this.turn, step, action };
    this.frame = await decode(await this.server.ask(message, isFrame(this.turn, step)));
    this.moves.push(action);
    this.count = step;
    return this.frame;
  }

  /** Go back to an earlier frame: RGB. */
  async rewind(step) {
    const message = { type: "rewind", turn: this.turn, step };
    this.frame = await decode(await this.server.ask(message, isFrame(this.turn, step)));
    this.moves.length = step - this.origin;
    this.count = step;
    return this.frame;
  }

  /** The present moment as a file's bytes: how it came about, and the server's state. */
  async save() {
    const state = new Uint8Array(await (await this.server.state()).arrayBuffer());
    const { start, seed, origin, moves } = this;
    const line = new TextEncoder().encode(JSON.stringify({ start, seed, origin, moves }));
    const bytes = new Uint8Array(4 + line.length + state.length);
    new DataView(bytes.buffer).setUint32(0, line.length, true);
    bytes.set(line, 4);
    bytes.set(state, 4 + line.length);
    return bytes;
  }
}

/** The two parts of a saved moment. */
function readMoment(bytes) {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const end = 4 + view.getUint32(0, true);
    const line = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
    if (!Array.isArray(line.moves)) throw new Error("it has no moves");
    return { line, state: bytes.subarray(end) };
  } catch {
    throw new Error("this file is no moment that was saved from a server's world");
  }
}

class World {
  constructor(server, facts, turn) {
    Object.assign(this, { server, facts, turn });
  }

  /** A dream from a start, with a seed of its noise. */
  async begin(start, seed) {
    const turn = ++this.turn;
    const message = { type: "begin", turn, start, seed };
    return this.#expect(turn, message);
  }

  /** The dream of a saved moment. */
  async restore(bytes) {
    const { line, state } = readMoment(bytes);
    const arrived = this.#expect(this.turn + 1, null); // the server begins it by itself
    try {
      await this.server.state({ method: "POST", body: state });
    } catch (error) {
      this.server.asked = null;
      throw error;
    }
    this.turn++;
    const { start, origin, moves } = line;
    return Object.assign(await arrived, { start, origin, moves });
  }

  async #expect(turn, message) {
    let told = null;
    const frame = await this.server.ask(message, (answer) => {
      if (answer.type === "began" && answer.turn === turn) told = answer;
      return told !== null && isFrame(turn, told.count)(answer);
    });
    return new Dream(this.server, told, await decode(frame));
  }
}

/**
 * Open the server's world.
 * @param {URL} base where the page lies
 * @param {(done: number, of: number) => void} tell is told how far it is
 */
export async function openWorld(base, tell = () => {}) {
  tell(0, 1);
  const server = new Server(base);
  const welcome = await server.open();
  if (welcome.version !== VERSION) {
    throw new Error(`the server speaks version ${welcome.version}, this page ${VERSION}: reload`);
  }
  const told = new URLSearchParams(location.search); // the token stays out of links and history
  if (told.has("token")) {
    told.delete("token");
    const rest = told.size ? `?${told}` : "";
    history.replaceState(null, "", `${location.pathname}${rest}${location.hash}`);
  }
  return new World(server, welcome.world, welcome.turn);
}
