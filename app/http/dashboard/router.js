// Hash routes, so that every view has an address.

import { isAbort } from "./api.js";
import { byId, h } from "./dom.js";
import { problemBox } from "./messages.js";
import { keepPlace } from "./scroll-place.js";
import { parseRoute } from "./route.js";

// `views`: the view of each address by its form: "trials", "trials/" with an id, "studies//" with an id and a part.
// A view that shows its parts itself sets `page.showPart(part, query)`.
export function start(views, main) {
  let leave = new AbortController();
  /** @type {any} */
  let current = null; // the page that is shown
  const goToPlace = keepPlace(main);

  async function show() {
    if (location.hash === "#main") return;
    const route = parseRoute(location.hash);
    const view = views[route.form];
    if (current?.showPart && current.view === view && current.id === route.id) {
      current.showPart(route.part, route.query);
      return;
    }
    const isFirst = current === null;
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    for (const link of document.querySelectorAll(".top nav a")) {
      const isCurrent = link.getAttribute("href") === `#/${route.name}`;
      isCurrent ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
    const title = h("h1", { tabindex: "-1" });
    const root = h("div", { class: "view" });
    const page = (current = {
      ...route,
      view,
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
    });
    main.replaceChildren(title, root);
    const shown = (view ?? unknownAddress)(page);
    goToPlace(signal);
    if (!isFirst) title.focus({ preventScroll: true });
    await Promise.resolve(shown).catch(page.fail);
  }

  addEventListener("hashchange", show);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  show();
}

function unknownAddress(page) {
  page.title("Page not found");
  page.root.append(
    h("p", { class: "lead" }, `There is no page at ${location.hash}. The links above lead to those that there are.`),
  );
}

// Updates the address with the settings of a view, without a new history entry.
export function updateAddress(name, parameters) {
  const present = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  history.replaceState(history.state, "", `#/${name}?${new URLSearchParams(present)}`);
}

// Changes some parameters of the address; an empty one is left out.
export function updateQuery(changes) {
  const [path, text = ""] = location.hash.split("?");
  const parameters = new URLSearchParams(text);
  for (const [name, value] of Object.entries(changes)) value ? parameters.set(name, value) : parameters.delete(name);
  history.replaceState(history.state, "", parameters.size ? `${path}?${parameters}` : path || "#/scale");
}
