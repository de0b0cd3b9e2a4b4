// Tables with a caption, which scroll horizontally on narrow screens.

import { columnKey } from "./arrange.js";
import { h } from "./dom.js";

// columns: { label, cell(row), number, text, head, value(row) }; the column with `head` is the header of its row, `text`
// may be long. A row with `instead` shows that text in place of its other cells.
// `order`: { key, descending } or null, and `sort(column)` is called by the headers of columns with `value`.
/**
 * @param {string} caption
 * @param {any[]} columns
 * @param {any[]} rows
 * @param {{shown?: boolean, order?: {key: string, descending: boolean} | null, sort?: ((column: any) => void) | null}} [options]
 */
export function table(caption, columns, rows, { shown = true, order = null, sort = null } = {}) {
  const kind = (c) => (c.number ? "number" : c.text ? "text" : null);
  const cell = (row) => (c) => h(c.head ? "th" : "td", { scope: c.head ? "row" : null, class: kind(c) }, c.cell(row));
  const body = rows.map((row) =>
    h(
      "tr",
      { class: row.chosen ? "chosen" : null },
      row.instead
        ? [
            columns.filter((c) => c.head).map(cell(row)),
            h("td", { colspan: columns.length - 1, class: "instead" }, row.instead),
          ]
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
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((c) => header(c, kind(c), order, sort)),
        ),
      ),
      h("tbody", {}, body),
    ),
  );
}

function header(column, kind, order, sort) {
  if (!sort || !column.value) return h("th", { scope: "col", class: kind }, column.label);
  const isSorted = order?.key === columnKey(column);
  const direction = isSorted ? (order.descending ? "descending" : "ascending") : null;
  const button = h(
    "button",
    { type: "button", class: "quiet sort", "data-key": `sort ${column.label}`, onclick: () => sort(column) },
    column.label,
    h("span", { "aria-hidden": "true" }, { ascending: " ▲", descending: " ▼" }[direction] ?? ""),
  );
  return h("th", { scope: "col", class: kind, "aria-sort": direction }, button);
}
