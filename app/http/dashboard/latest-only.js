// Runs one request at a time; a new request aborts the previous one.

import { isAbort } from "./api.js";

export function latestOnly(signal) {
  let current = new AbortController();
  signal.addEventListener("abort", () => current.abort());
  return async (send, show, fail) => {
    current.abort();
    const request = (current = new AbortController());
    try {
      const response = await send(request.signal);
      if (!request.signal.aborted) show(response);
    } catch (error) {
      if (!isAbort(error) && !request.signal.aborted) fail(error);
    }
  };
}
