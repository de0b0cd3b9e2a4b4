// Polls while a view is open: less often while nothing changes, at most three requests a minute while nobody uses the tab (all
// polls together), and not at all while it is hidden. `load` returns the data to compare; `isDone` says whether polling can stop
// until `now` is called.

import { countRequests } from "./api.js";
import { delay, untilVisible } from "./delay.js";
import { isPresent, untilUsed } from "./presence.js";

const MIN_INTERVAL = 1000;
const MAX_INTERVAL = 10_000;
const UNUSED_INTERVAL = 20_000; // for each request

let nextUnused = 0; // when the next poll of an unused tab may load

export function poll(load, signal, isDone = (_data) => false) {
  let wait = MIN_INTERVAL;
  let last;
  let pollNow = () => {};

  async function pause(requests, requested) {
    await Promise.race([delay(wait, signal), requested]);
    if (isPresent()) return;
    nextUnused = Math.max(nextUnused, Date.now()) + requests * UNUSED_INTERVAL;
    await Promise.race([delay(nextUnused - Date.now(), signal), untilUsed(signal), requested]);
  }

  const run = async () => {
    while (!signal.aborted) {
      await untilVisible(signal);
      /** @type {Promise<void>} */
      const requested = new Promise((resolve) => (pollNow = resolve));
      const before = countRequests();
      const data = await load();
      const text = JSON.stringify(data);
      wait = text === last ? Math.min(wait * 1.5, MAX_INTERVAL) : MIN_INTERVAL;
      last = text;
      await (isDone(data) ? requested : pause(countRequests() - before, requested));
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
