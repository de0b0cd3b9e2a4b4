// Polls while a view is open: less often while nothing changes, and not at all while the tab is hidden. `load` returns the data
// to compare; `isDone` says whether polling can stop until `now` is called.

import { delay, untilVisible } from "./delay.js";

const MIN_INTERVAL = 1000;
const MAX_INTERVAL = 10_000;

export function poll(load, signal, isDone = () => false) {
  let wait = MIN_INTERVAL;
  let last;
  let pollNow = () => {};
  const run = async () => {
    while (!signal.aborted) {
      await untilVisible(signal);
      const requested = new Promise((resolve) => (pollNow = resolve));
      const data = await load();
      const text = JSON.stringify(data);
      wait = text === last ? Math.min(wait * 1.5, MAX_INTERVAL) : MIN_INTERVAL;
      last = text;
      await (isDone(data) ? requested : Promise.race([delay(wait, signal), requested]));
    }
  };
  return {
    running: run(),
    now() {
      last = undefined;
      pollNow();
    },
  };
}
