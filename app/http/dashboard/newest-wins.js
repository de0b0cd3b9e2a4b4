// Sends one request at a time. While it runs only the newest value is kept, and is sent as soon as the answer is there.

const MIN_PAUSE = 500; // ms
const MAX_PAUSE = 4000;

// `show(answer, value, isNewest)` and `fail(error, value, isNewest)` are called after each request. After a temporary
// error (`isTemporary(error)`) the newest value is sent again, when `pause(milliseconds)` has resolved.
export function newestWins({ send, show, fail, isTemporary, pause, signal }) {
  /** @type {{value: any} | null} */
  let next = null;
  let isRunning = false;

  async function run() {
    isRunning = true;
    let wait = MIN_PAUSE;
    while (next && !signal.aborted) {
      const { value } = next;
      next = null;
      let error = null;
      const answer = await send(value).catch((reason) => ((error = reason), null));
      if (signal.aborted) return;
      if (!error) {
        wait = MIN_PAUSE;
        show(answer, value, next === null);
        continue;
      }
      fail(error, value, next === null);
      if (!isTemporary(error)) continue;
      next ??= { value };
      await pause(wait).catch(() => {});
      wait = Math.min(2 * wait, MAX_PAUSE);
    }
    isRunning = false;
  }

  return (value) => {
    next = { value };
    if (!isRunning) run();
  };
}
