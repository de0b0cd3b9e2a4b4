// A table of properties with a column for each of several things.

import { h } from "./dom.js";
import { table } from "./table.js";

// `names`: the headers of the columns; rows: [property, value of each].
export function sideBySide(caption, names, rows) {
  const columns = [
    { label: "Property", head: true, cell: (row) => row[0] },
    ...names.map((name, i) => ({ label: name, text: true, cell: (row) => row[1][i] })),
  ];
  return table(caption, columns, rows, { shown: false });
}

// Colours and dashes by which the things are told apart in charts.
const COLOURS = ["r", "d", "w", "accuracy", "ink", "edge"];

export const lineStyle = (i) => ({ color: COLOURS[i % COLOURS.length], dash: i % 2 ? [6, 3] : undefined });

export const letter = (i) => String.fromCharCode(65 + i);

export const curvesCard = (charts) =>
  h(
    "section",
    { class: "card" },
    h("h2", {}, "Curves"),
    h(
      "div",
      { class: "curves" },
      charts.map((c) => c.node),
    ),
  );
