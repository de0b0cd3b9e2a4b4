// Waits that are aborted when the user leaves the view.

export const abortError = () => new DOMException("The view was left.", "AbortError");

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function delay(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError());
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

// Resolves when the tab is visible.
/** @returns {Promise<void>} */
export function untilVisible(signal) {
  return new Promise((resolve, reject) => {
    if (!document.hidden) return resolve();
    const end = new AbortController();
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) return;
        end.abort();
        resolve();
      },
      { signal: end.signal },
    );
    signal?.addEventListener("abort", () => { end.abort(); reject(abortError()); }, { once: true });
  });
}
