// Whether somebody is at the tab: they used it a moment ago, or have just opened it.

import { abortError } from "./delay.js";

const MOMENT = 10_000; // ms
const USES = ["pointermove", "pointerdown", "touchstart", "wheel", "keydown", "focus", "visibilitychange"];

let lastUse = Date.now();
const waiting = new Set();

function used() {
  lastUse = Date.now();
  for (const resolve of waiting) resolve();
  waiting.clear();
}

for (const kind of USES) addEventListener(kind, used, { capture: true, passive: true });

export const isPresent = () => Date.now() - lastUse < MOMENT;

// Resolves when the tab is next used.
/** @returns {Promise<void>} */
export function untilUsed(signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      waiting.delete(onUse);
      reject(abortError());
    };
    const onUse = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    waiting.add(onUse);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
