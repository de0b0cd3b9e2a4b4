// Hash routes, so that every view has an address.

import { isAbort } from "./api.js";
import { h } from "./dom.js";
import { problemBox } from "./messages.js";

const NOT_LOADED = "This view could not be loaded. Reload the page when the service responds.";

const parse = () => {
  const [path, search = ""] = (location.hash.replace(/^#\/?/, "") || "scale").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name, id: rest[0], query: new URLSearchParams(search) };
};

// `views`: by name, a function that loads the view; by name and "/", one for a single item.
export function start(views, main) {
  let leave = new AbortController();
  let first = true;

  async function show() {
    if (location.hash === "#main") return;
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    const route = parse();
    const load = (route.id ? views[`${route.name}/`] : views[route.name]) ?? views.scale;
    for (const link of document.querySelectorAll("nav a")) {
      const isCurrent = link.getAttribute("href") === `#/${route.name}`;
      isCurrent ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
    const title = h("h1", { tabindex: "-1" });
    const root = h("div", { class: "view" });
    const page = {
      ...route,
      root,
      signal,
      heading: title,
      title(text) {
        title.textContent = text;
        document.title = `${text} · rdw`;
      },
      fail(error) {
        if (!isAbort(error) && !signal.aborted) root.prepend(problemBox(error));
      },
    };
    try {
      const view = await load().catch(() => Promise.reject(new Error(NOT_LOADED)));
      if (signal.aborted) return;
      main.replaceChildren(title, root);
      const shown = view(page);
      scrollTo(0, 0);
      if (!first) title.focus({ preventScroll: true });
      first = false;
      await shown;
    } catch (error) {
      if (!root.isConnected) main.replaceChildren(title, root);
      page.fail(error);
    }
  }

  addEventListener("hashchange", show);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  show();
}

// Updates the address with the settings of a view, without a new history entry.
export function updateAddress(name, parameters) {
  const present = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  history.replaceState(null, "", `#/${name}?${new URLSearchParams(present)}`);
}
