// Tables with a caption, which scroll horizontally on narrow screens.

import { h } from "./dom.js";

// columns: { label, cell(row), number, head }; the column with `head` is the header of its row.
// A row with `instead` shows that text in place of its other cells.
export function table(caption, columns, rows, { shown = true } = {}) {
  const cell = (row) => (c) => h(c.head ? "th" : "td", { scope: c.head ? "row" : null, class: c.number ? "number" : null }, c.cell(row));
  const body = rows.map((row) =>
    h(
      "tr",
      { class: row.chosen ? "chosen" : null },
      row.instead
        ? [columns.filter((c) => c.head).map(cell(row)), h("td", { colspan: columns.length - 1, class: "instead" }, row.instead)]
        : columns.map(cell(row)),
    ),
  );
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h(
      "table",
      {},
      h("caption", { class: shown ? null : "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: c.number ? "number" : null }, c.label)))),
      h("tbody", {}, body),
    ),
  );
}
