// Light or dark: the system's choice, or the reader's, which is remembered.

const KEPT = "rdw-theme";

export function setUpTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = localStorage.getItem(KEPT);
  if (kept) root.dataset.theme = kept;
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const name = () => (button.textContent = dark() ? "Light" : "Dark");
  button.setAttribute("aria-label", "Switch between light and dark");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem(KEPT, root.dataset.theme);
    name();
  });
  system.addEventListener("change", name);
  name();
}
