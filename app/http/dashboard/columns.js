// Columns of tables by the kind of their values; `value` makes a column sortable.

import { h } from "./dom.js";
import { minute } from "./format.js";

/** @type {(label: string, value: (item: any) => any, format?: (value: any) => string) => object} */
export const numberColumn = (label, value, format = String) => ({
  label,
  number: true,
  value,
  cell: (row) => (value(row) === null || value(row) === undefined ? "–" : format(value(row))),
});

export const textColumn = (label, value, cell = (row) => value(row) || "–") => ({ label, text: true, value, cell });

// A column of sentences.
export const detailColumn = (label, value) =>
  textColumn(label, value, (row) => (value(row) ? h("span", { class: "detail" }, value(row)) : "–"));

export const timeColumn = (label, value) => ({ label, value, cell: (row) => minute(value(row)) });

// The column that names its row and leads to its page.
export const linkColumn = (label, text, href) => ({
  label,
  head: true,
  value: text,
  cell: (row) => (href(row) ? h("a", { href: href(row) }, text(row)) : text(row)),
});
