// Polls while a view is open. Where the service reports changes of `kinds`, a view loads when there are any, and once a
// minute; elsewhere it polls, less often while nothing changes. While nobody uses the tab, all polls together make at most
// three requests a minute, and none while it is hidden. `load` returns the data to compare; `isDone` says whether polling
// can stop until `now` is called.

import { countRequests } from "./api.js";
import { countChanges, isFollowing, startFollowing, untilChanged } from "./changes.js";
import { delay, untilVisible } from "./delay.js";
import { isPresent, untilUsed } from "./presence.js";

const MIN_INTERVAL = 1000;
const MAX_INTERVAL = 10_000;
const FOLLOWED_INTERVAL = 60_000; // where changes are reported
const UNUSED_INTERVAL = 20_000; // for each request

let nextUnused = 0; // when the next poll of an unused tab may load

/**
 * @param {() => Promise<any>} load
 * @param {AbortSignal} signal
 * @param {{isDone?: (data: any) => boolean, kinds?: string[]}} [options]
 */
export function poll(load, signal, { isDone = () => false, kinds = [] } = {}) {
  let wait = MIN_INTERVAL;
  let last;
  let pollNow = () => {};
  if (kinds.length) startFollowing();

  // Waits for the next load, after `n` requests of this one, which began when there were `count` changes.
  async function pause(n, count, requested) {
    const loaded = Date.now();
    const ended = new AbortController();
    const waiting = AbortSignal.any([signal, ended.signal]);
    try {
      const isFollowed = kinds.length > 0 && isFollowing();
      const due = isFollowed
        ? Promise.race([
            delay(FOLLOWED_INTERVAL, waiting),
            delay(MIN_INTERVAL, waiting).then(() => untilChanged(kinds, count, waiting)),
          ])
        : delay(wait, waiting);
      await Promise.race([due, requested]);
      if (isPresent()) return;
      nextUnused = Math.max(nextUnused, loaded) + n * UNUSED_INTERVAL;
      const rest = nextUnused - Date.now();
      if (rest > 0) await Promise.race([delay(rest, waiting), untilUsed(waiting), requested]);
    } finally {
      ended.abort();
    }
  }

  const run = async () => {
    while (!signal.aborted) {
      await untilVisible(signal);
      /** @type {Promise<void>} */
      const requested = new Promise((resolve) => (pollNow = resolve));
      const [requests, changes] = [countRequests(), countChanges(kinds)];
      const data = await load();
      const text = JSON.stringify(data);
      wait = text === last ? Math.min(wait * 1.5, MAX_INTERVAL) : MIN_INTERVAL;
      last = text;
      await (isDone(data) ? requested : pause(countRequests() - requests, changes, requested));
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
