// Dims what is shown while newer values are awaited: after a moment, so that a drag that keeps up does not flicker.

const MOMENT = 150; // ms

export function staleness(node) {
  /** @type {number | undefined} */
  let timer;
  const clear = () => {
    clearTimeout(timer);
    timer = undefined;
    node.classList.remove("stale");
    node.removeAttribute("aria-busy");
  };
  const dim = (isBusy) => {
    clear();
    node.classList.add("stale");
    if (isBusy) node.setAttribute("aria-busy", "true");
  };
  const awaited = () => {
    if (!node.classList.contains("stale")) timer ??= setTimeout(dim, MOMENT, true);
  };
  return {
    awaited,
    shown(isNewest) {
      clear();
      if (!isNewest) awaited();
    },
    failed: () => dim(false),
  };
}
