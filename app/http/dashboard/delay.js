// Waits that end when the view is left.

export const aborted = () => new DOMException("left", "AbortError");

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted());
    const left = () => {
      clearTimeout(timer);
      reject(aborted());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", left);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", left, { once: true });
  });
}

// Until the tab is looked at.
export function visible(signal) {
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
    signal?.addEventListener("abort", () => { end.abort(); reject(aborted()); }, { once: true });
  });
}
