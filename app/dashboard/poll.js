// Asks again and again while a view is open: soon while there is news, ever less often while there is none, not at all while
// the tab is hidden. `ask` answers what is compared; `done` says when no more news can come, until `now` is called.

import { pause, visible } from "./pause.js";

const SOONEST = 1000;
const LATEST = 10_000;

export function poll(ask, signal, done = () => false) {
  let wait = SOONEST;
  let last;
  let hurry = () => {};
  const run = async () => {
    while (!signal.aborted) {
      await visible(signal);
      const hurried = new Promise((resolve) => (hurry = resolve));
      const answer = await ask();
      const now = JSON.stringify(answer);
      wait = now === last ? Math.min(wait * 1.5, LATEST) : SOONEST;
      last = now;
      await (done(answer) ? hurried : Promise.race([pause(wait, signal), hurried]));
    }
  };
  return {
    running: run(),
    now() {
      last = undefined;
      hurry();
    },
  };
}
