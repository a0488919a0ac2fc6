// Dreams beside the page, so that it answers while a frame is made: opens the world and does, one
// after the other, what engine.js asks.

import { packMoment } from "./state.js";
import { openWorld } from "./world.js";

const KEPT = 2; // dreams: the newest, and the one whose frame may just be made
const dreams = new Map(); // turn -> dream
let world = null;
let last = Promise.resolve();

const keep = (turn, dream) => {
  dreams.set(turn, dream);
  for (const old of [...dreams.keys()].slice(0, -KEPT)) dreams.delete(old);
  return describe(dream);
};

const describe = ({ frame, count, earliest, start, seed, moves }) => ({
  frame, count, earliest, start, seed, moves: [...moves],
});

const CALLS = {
  async open({ base, provider, threads }) {
    const tell = (done, of) => postMessage({ told: [done, of] });
    world = await openWorld(new URL(base), tell, provider, threads);
    return { ...world.facts, threads };
  },
  begin: async ({ turn, start, seed }) => keep(turn, await world.begin(start, seed)),
  restore: async ({ turn, buffer }) => keep(turn, world.restore(buffer)),
  save: async ({ turn }) => packMoment(dreams.get(turn)),
  async step({ turn, action }) {
    const dream = dreams.get(turn);
    const frame = await dream.step(action);
    return { frame, earliest: dream.earliest };
  },
  async rewind({ turn, count }) {
    const dream = dreams.get(turn);
    const frame = dream.rewind(count);
    return { frame, earliest: dream.earliest };
  },
};

onmessage = ({ data: { id, call, given } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, value: await CALLS[call](given) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
};
