// The rows of a list as its reader wants them: searched and sorted.

// Returns the rows whose text has every word of the query.
export function search(rows, query, textOf) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (text) => words.every((word) => text.includes(word));
  return words.length ? rows.filter((row) => matches(textOf(row).toLowerCase())) : rows;
}

// Returns the rows by increasing or decreasing value; those without a value are last either way.
export function sortBy(rows, valueOf, descending = false) {
  const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);
  const sign = descending ? -1 : 1;
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return rows
    .map((row) => [valueOf(row), row])
    .sort(([a], [b]) => Number(isMissing(a)) - Number(isMissing(b)) || (isMissing(a) ? 0 : sign * compare(a, b)))
    .map(([, row]) => row);
}

// The name of a column in an address.
export const columnKey = (column) => column.label.toLowerCase().replace(/[^a-z0-9]+/g, "-");

// Parses the order in an address: "accuracy", or "-accuracy" for decreasing values. Null if there is no such column.
export function parseOrder(text, columns) {
  const key = text.replace(/^-/, "");
  const isKnown = columns.some((column) => column.value && columnKey(column) === key);
  return isKnown ? { key, descending: text.startsWith("-") } : null;
}

export const formatOrder = (order) => (order ? `${order.descending ? "-" : ""}${order.key}` : "");

// Returns the order after a click on a column's header. Numbers begin with the largest.
export function nextOrder(order, column) {
  const key = columnKey(column);
  return { key, descending: order?.key === key ? !order.descending : Boolean(column.number) };
}
