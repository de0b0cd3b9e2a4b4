// Hash routes, so that every view has an address.

import { isAbort } from "./api.js";
import { h } from "./dom.js";
import { problemBox } from "./messages.js";

const parse = () => {
  const [path, search = ""] = (location.hash.replace(/^#\/?/, "") || "scale").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name, id: rest[0], query: new URLSearchParams(search) };
};

export function start(views, main) {
  let leave = new AbortController();
  let first = true;

  async function show() {
    if (location.hash === "#main") return;
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    const route = parse();
    const view = (route.id ? views[`${route.name}/`] : views[route.name]) ?? views.scale;
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
    main.replaceChildren(title, root);
    const shown = view(page);
    scrollTo(0, 0);
    if (!first) title.focus({ preventScroll: true });
    first = false;
    await Promise.resolve(shown).catch(page.fail);
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
