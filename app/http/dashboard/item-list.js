// A list that is searched, sorted and shown in parts. The search text, the order and the number of rows are in the
// address.

import { columnKey, formatOrder, nextOrder, parseOrder, search, sortBy } from "./arrange.js";
import { h, renderOnChange } from "./dom.js";
import { integer } from "./format.js";
import { updateQuery } from "./router.js";
import { table } from "./table.js";

const FEW = 25; // rows that are shown at first

// `textOf(row)` is what is searched. `prefix` tells apart the parameters of several lists on a page. `choose`:
// { action, idOf(row), nameOf(row), min, max, act(ids) } lets the reader choose rows. `changed` is called after the
// reader has changed something.
/**
 * @param {any} page
 * @param {any} options
 */
export function itemList(page, { caption, columns, textOf, empty, prefix = "", choose = null, changed = () => {} }) {
  const read = (name) => page.query.get(prefix + name) ?? "";
  let text = read("q");
  let order = parseOrder(read("sort"), columns);
  let shown = Math.max(FEW, Math.floor(Number(read("shown"))) || FEW);
  /** @type {any[] | null} */
  let items = null;
  let isComplete = true;
  let isSorted = false; // by the service
  const chosen = new Map(); // id: whether it is chosen

  const input = h("input", {
    type: "search",
    value: text,
    placeholder: "Search",
    "aria-label": `Search: ${caption}`,
    autocomplete: "off",
  });
  const count = h("span", { class: "hint", role: "status" });
  const act = h("button", { type: "button", class: "primary", onclick: () => choose.act([...chosen.keys()]) });
  const body = h("div", { "aria-busy": "true" }, h("p", { class: "hint" }, "Loading …"));
  const more = h("button", { type: "button", onclick: showMore }, "More");
  const unknown = read("sort") && !order ? `There is no column ${read("sort")} to sort by.` : "";
  const bar = h("p", { class: "list-bar" }, h("span", { class: "search" }, input), count, choose ? act : null);
  const node = h("div", { class: "list" }, bar, body, h("p", { class: "actions", hidden: true }, more));

  const check = {
    label: choose?.action,
    cell: (row) => {
      const id = choose.idOf(row);
      const toggle = ({ target }) => {
        target.checked ? chosen.set(id, true) : chosen.delete(id);
        update();
      };
      const isFull = !chosen.has(id) && chosen.size >= choose.max;
      const label = `${choose.action} ${choose.nameOf(row)}`;
      return h("input", {
        type: "checkbox",
        checked: chosen.has(id),
        disabled: isFull,
        "aria-label": label,
        onchange: toggle,
      });
    },
  };
  const shownColumns = choose ? [columns[0], check, ...columns.slice(1)] : columns;
  const show = renderOnChange(body, ({ rows, order: shownOrder, isEmpty }) =>
    rows.length
      ? table(caption, shownColumns, rows, { order: shownOrder, sort })
      : h("p", { class: "hint" }, isEmpty ? empty : "Nothing matches."),
  );

  const isArranged = () => Boolean(text.trim() || order);

  function update() {
    if (!items) return;
    const matching = isComplete ? search(items, text, textOf) : items;
    const by = isComplete && !isSorted ? order : null;
    const column = by && columns.find((c) => c.value && columnKey(c) === by.key);
    const rows = column ? sortBy(matching, column.value, by.descending) : matching;
    show({
      rows: rows.slice(0, shown),
      order: isComplete || isSorted ? order : null,
      chosen: [...chosen.keys()],
      isEmpty: !items.length,
    });
    const isWaiting = isArranged() && !isComplete && !isSorted;
    isWaiting ? body.setAttribute("aria-busy", "true") : body.removeAttribute("aria-busy");
    bar.hidden = isComplete && !items.length;
    more.parentNode.hidden = more.hidden = isComplete && rows.length <= shown;
    const total = isComplete ? `${integer(items.length)} in all` : isWaiting ? "Reading the whole list …" : "";
    count.textContent = [unknown, isComplete && text.trim() ? `${integer(rows.length)} of ${total}` : total]
      .filter(Boolean)
      .join(" ");
    if (!choose) return;
    act.hidden = chosen.size === 0;
    act.disabled = chosen.size < choose.min;
    act.textContent =
      chosen.size < choose.min ? `${choose.action}: choose ${choose.min} or more` : `${choose.action} ${chosen.size}`;
  }

  function remember() {
    updateQuery({
      [`${prefix}q`]: text.trim(),
      [`${prefix}sort`]: formatOrder(order),
      [`${prefix}shown`]: shown > FEW ? shown : "",
    });
    update();
    changed();
  }

  function sort(column) {
    order = nextOrder(order, column);
    isSorted = false; // until the service has sorted them
    remember();
  }

  function showMore() {
    shown *= 2;
    remember();
  }

  input.addEventListener("input", () => {
    text = input.value;
    shown = FEW;
    remember();
  });
  return {
    node,
    wanted: () => shown,
    isArranged,
    // Returns the order if nothing else is asked of the list: then the service may sort it.
    order: () => (text.trim() ? null : order),
    // `complete`: whether there are no more items than these. An incomplete list is in the order of the service, as is
    // one that it has sorted.
    show(newItems, complete = true, sorted = false) {
      [items, isComplete, isSorted] = [newItems, complete, sorted];
      update();
    },
    restart() {
      shown = FEW;
      items = null;
      body.setAttribute("aria-busy", "true");
    },
  };
}
