// Stores how far a page is scrolled in its entry of the history, so that back and reload return to the same place.

const GIVE_UP = ["wheel", "touchstart", "pointerdown", "keydown"]; // the reader goes elsewhere

// Returns a function that goes to the place of the current entry, as soon as the page is long enough.
export function keepPlace(main) {
  let saving = 0;
  const save = () => history.replaceState({ ...history.state, y: scrollY }, "");
  history.scrollRestoration = "manual";
  addEventListener("scroll", () => {
    clearTimeout(saving);
    saving = setTimeout(save, 100);
  });
  addEventListener("click", save, true); // a link may follow
  addEventListener("pagehide", save);
  addEventListener("hashchange", () => clearTimeout(saving), true);

  return (signal) => {
    const y = history.state?.y ?? 0;
    scrollTo(0, y);
    if (Math.abs(scrollY - y) < 2) return;
    const observer = new ResizeObserver(() => {
      scrollTo(0, y);
      if (Math.abs(scrollY - y) < 2) observer.disconnect();
    });
    observer.observe(main);
    for (const event of GIVE_UP) addEventListener(event, () => observer.disconnect(), { once: true, signal });
    signal.addEventListener("abort", () => observer.disconnect());
  };
}
