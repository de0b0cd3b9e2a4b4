// The light or dark theme: the system's, or the stored choice of the user.

const STORAGE_KEY = "rdw-theme";

export function setUpTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored) root.dataset.theme = stored;
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const name = () => (button.textContent = dark() ? "Light" : "Dark");
  button.setAttribute("aria-label", "Switch between light and dark");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem(STORAGE_KEY, root.dataset.theme);
    name();
  });
  system.addEventListener("change", name);
  name();
}
