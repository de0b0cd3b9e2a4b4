// One request in flight: a newer one ends the one before.

import { left } from "./api.js";

export function newest(signal) {
  let current = new AbortController();
  signal.addEventListener("abort", () => current.abort());
  return async (ask, show, fail) => {
    current.abort();
    const own = (current = new AbortController());
    try {
      const answer = await ask(own.signal);
      if (!own.signal.aborted) show(answer);
    } catch (error) {
      if (!left(error) && !own.signal.aborted) fail(error);
    }
  };
}
