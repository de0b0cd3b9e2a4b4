// A paged list that is refreshed regularly. "More" loads the next page.

import { get, query } from "./api.js";
import { h, renderOnChange } from "./dom.js";
import { poll } from "./poll.js";

const PAGE = 25;

export function listing(page, { path, filters = () => ({}), render, empty }) {
  const body = h("div", { "aria-busy": "true" });
  const more = h("button", { type: "button", hidden: true }, "More");
  const announcement = h("p", { class: "visually-hidden", role: "status" });
  const update = renderOnChange(body, (items) => (items.length ? render(items) : h("p", { class: "hint" }, empty)));
  let pages = 1;

  async function loadPages() {
    const items = [];
    let cursor = null;
    for (let i = 0; i < pages; i++) {
      const response = await get(query(path, { ...filters(), limit: PAGE, cursor }), page.signal);
      items.push(...response.items);
      cursor = response.next;
      if (!cursor) break;
    }
    update(items);
    body.removeAttribute("aria-busy");
    more.hidden = !cursor;
    return items;
  }

  const polling = poll(loadPages, page.signal);
  polling.running.catch(page.fail);
  more.addEventListener("click", () => {
    pages += 1;
    announcement.textContent = "More items are shown.";
    polling.now();
  });
  page.root.append(body, h("p", { class: "actions" }, more), announcement);
  return {
    restart() {
      pages = 1;
      polling.now();
    },
  };
}
