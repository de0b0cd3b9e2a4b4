// The light or dark theme: the system's, or the stored choice of the user. `rdw-theme` is dispatched when it changes.

const STORAGE_KEY = "rdw-theme";
const colours = new Map();
/** @type {HTMLElement | null} */
let probe = null;

export function setUpTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored) root.dataset.theme = stored;
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const update = () => {
    button.textContent = dark() ? "Light" : "Dark";
    colours.clear();
    dispatchEvent(new Event("rdw-theme"));
  };
  button.setAttribute("aria-label", "Switch between light and dark");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem(STORAGE_KEY, root.dataset.theme);
    update();
  });
  system.addEventListener("change", update);
  update();
}

// Returns the value that a colour of the style sheet has in the current theme, for drawing on a canvas.
export function colour(name) {
  if (!colours.has(name)) {
    probe ??= hiddenElement();
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

function hiddenElement() {
  const element = document.createElement("span");
  element.hidden = true;
  document.body.append(element);
  return element;
}
