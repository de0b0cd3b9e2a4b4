// Which kinds of resources have changed, from the service's event stream. A tab has one: from the first time that a view
// waits for changes, and while it is visible. Where the stream is refused or broken, `isFollowing` says so.

import { send } from "./api.js";
import { delay, untilVisible } from "./delay.js";
import { parseEvents } from "./events.js";

const MIN_WAIT = 1000; // ms until a broken stream is opened again
const MAX_WAIT = 60_000;

/** @type {Map<string, number>} */
const counts = new Map(); // of changes by kind
let restarts = 0; // times that changes may have been missed
let isOpen = false;
let isStarted = false;
/** @type {Set<() => void>} */
const listeners = new Set();

export const isFollowing = () => isOpen;

// Returns a number that grows when resources of these kinds change, or may have.
/** @param {string[]} kinds */
export const countChanges = (kinds) => kinds.reduce((sum, kind) => sum + (counts.get(kind) ?? 0), restarts);

// Resolves when the number is no longer `count`.
/**
 * @param {string[]} kinds
 * @param {number} count
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function untilChanged(kinds, count, signal) {
  return new Promise((resolve) => {
    const check = () => {
      if (countChanges(kinds) === count) return;
      listeners.delete(check);
      resolve();
    };
    listeners.add(check);
    signal.addEventListener("abort", () => listeners.delete(check), { once: true });
    check();
  });
}

export function startFollowing() {
  if (isStarted) return;
  isStarted = true;
  follow();
}

async function follow() {
  let wait = MIN_WAIT;
  for (;;) {
    await untilVisible();
    const hasOpened = await readUntilHidden().catch(() => false); // a view says itself what is wrong with the service
    if (document.hidden) continue;
    wait = hasOpened ? MIN_WAIT : Math.min(2 * wait, MAX_WAIT);
    await delay(wait);
  }
}

// Reads the stream until it ends or the tab is hidden; resolves to whether it has opened.
async function readUntilHidden() {
  const reading = new AbortController();
  const stop = () => document.hidden && reading.abort();
  document.addEventListener("visibilitychange", stop, { signal: reading.signal });
  try {
    const headers = { Accept: "text/event-stream" };
    const response = await send("v1/events", { headers, signal: reading.signal, patient: false });
    for await (const { kind } of parseEvents(response.body)) {
      if (kind === "open") isOpen = true;
      note(kind);
    }
    return isOpen;
  } catch (error) {
    if (isOpen) return true;
    throw error;
  } finally {
    reading.abort();
    if (isOpen) {
      isOpen = false;
      note("open");
    }
  }
}

/** @param {string} kind */
function note(kind) {
  if (kind === "open") restarts += 1;
  else counts.set(kind, (counts.get(kind) ?? 0) + 1);
  for (const check of [...listeners]) check();
}
