// What a player asks for: keys, buttons and gamepads, as actions of the world.

export const BACK = "back"; // one frame back
const STICK = 0.5; // of a gamepad, from which on it is tilted
const BACK_BUTTONS = [4, 6]; // left shoulder
const ARROWS = { up: 12, down: 13, left: 14, right: 15 }; // a gamepad's cross
const FACES = [0, 1, 2, 3]; // its buttons, for actions without an arrow

const pads = () => [...(navigator.getGamepads?.() ?? [])].filter(Boolean);

export class Controls {
  /** @param {{name: string, keys: string[]}[]} actions of the world */
  constructor(actions) {
    Object.assign(this, { actions, held: [], tapped: null, sleepers: [] });
    const arrow = (action) => Object.keys(ARROWS).find((key) => action.keys.includes(key));
    const faces = [...FACES];
    this.padButtons = actions.map((action) => ARROWS[arrow(action)] ?? faces.shift());
  }

  /** What is asked for now, or null. */
  take() {
    const asked = this.held.at(-1) ?? this.tapped ?? this.#readPads();
    this.tapped = null;
    return asked;
  }

  /** Wait until something is pressed, at most `most` milliseconds where a gamepad has to be asked. */
  rest(most) {
    return new Promise((done) => {
      this.sleepers.push(done);
      if (pads().length) setTimeout(done, most);
    });
  }

  /** End all waiting. */
  wake() {
    for (const done of this.sleepers.splice(0)) done();
  }

  press(asked) {
    this.tapped = asked;
    if (!this.held.includes(asked)) this.held.push(asked);
    this.wake();
  }

  release(asked) {
    if (this.held.includes(asked)) this.held.splice(this.held.indexOf(asked), 1);
  }

  /** Nothing is held any more. */
  clear() {
    this.held.splice(0);
    this.tapped = null;
  }

  /** What a key asks for, or null. */
  ofKey({ key, ctrlKey, altKey, metaKey }) {
    if (ctrlKey || altKey || metaKey) return null;
    const name = key.toLowerCase().replace("arrow", "");
    if (name === "backspace") return BACK;
    const action = this.actions.findIndex(({ keys }) => keys.includes(name));
    return action < 0 ? null : action;
  }

  #readPads() {
    for (const { buttons, axes } of pads()) {
      const isDown = (button) => buttons[button]?.pressed;
      const [x = 0, y = 0] = axes;
      const tilted = [y < -STICK && 12, y > STICK && 13, x < -STICK && 14, x > STICK && 15];
      if (BACK_BUTTONS.some(isDown)) return BACK;
      const found = this.padButtons.findIndex((one) => isDown(one) || tilted.includes(one));
      if (found >= 0) return found;
    }
    return null;
  }

  /** Listen to keys, and to what takes the page away. */
  listen() {
    const isTyped = ({ target }) => ["SELECT", "INPUT"].includes(target.tagName);
    addEventListener("keydown", (event) => {
      const asked = isTyped(event) ? null : this.ofKey(event);
      if (asked === null) return;
      event.preventDefault();
      if (!event.repeat) this.press(asked);
    });
    addEventListener("keyup", (event) => this.release(this.ofKey(event)));
    addEventListener("blur", () => this.clear());
    document.addEventListener("visibilitychange", () => this.clear());
    addEventListener("gamepadconnected", () => this.wake());
  }

  /** A button on the page that asks for something while it is held. */
  bind(button, asked) {
    button.addEventListener("pointerdown", () => this.press(asked));
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
      button.addEventListener(end, () => this.release(asked));
    }
    // Of a finger that holds on, or of the other mouse button; a menu would take the release away.
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    button.addEventListener("click", ({ detail }) => {
      if (detail) return; // by a pointer, above
      this.tapped = asked; // by the keyboard
      this.wake();
    });
  }
}
