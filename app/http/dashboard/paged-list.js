// A list that is read page by page, its first pages kept fresh: "More" asks for the next by the cursor.

import { get, query } from "./api.js";
import { h, live } from "./dom.js";
import { poll } from "./poll.js";

const PAGE = 25;

export function listing(page, { path, filters = () => ({}), render, empty }) {
  const body = h("div", { "aria-busy": "true" });
  const more = h("button", { type: "button", hidden: true }, "More");
  const told = h("p", { class: "unseen", role: "status" });
  const update = live(body, (items) => (items.length ? render(items) : h("p", { class: "hint" }, empty)));
  let pages = 1;

  async function ask() {
    const items = [];
    let cursor = null;
    for (let i = 0; i < pages; i++) {
      const answer = await get(query(path, { ...filters(), limit: PAGE, cursor }), page.signal);
      items.push(...answer.items);
      cursor = answer.next;
      if (!cursor) break;
    }
    update(items);
    body.removeAttribute("aria-busy");
    more.hidden = !cursor;
    return items;
  }

  const polling = poll(ask, page.signal);
  polling.running.catch(page.fail);
  more.addEventListener("click", () => {
    pages += 1;
    told.textContent = "More are shown.";
    polling.now();
  });
  page.root.append(body, h("p", { class: "actions" }, more), told);
  return {
    again() {
      pages = 1;
      polling.now();
    },
  };
}
