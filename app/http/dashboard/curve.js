// Charts of r(c), d(c) and the predicted accuracy: curve, 90 % band, training points, the published TinyNets by their
// letters, and a mark at the budget. A click on a training point opens its trial, unless a click picks a budget.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { ACCURACY_AXIS, BAND_90, fixed, letterOf, shortId, significant } from "./format.js";
import { addressOf } from "./route.js";

export const QUANTITIES = [
  { name: "r", title: "Resolution r(c)", label: "r", text: (v) => fixed(v, 3) },
  { name: "d", title: "Depth d(c)", label: "d", text: (v) => fixed(v, 3) },
  { name: "accuracy", title: "Predicted accuracy", ...ACCURACY_AXIS },
];

export const RATIO_AXIS = { label: "Ratio c to the baseline’s multiply-adds", text: significant, log: true };

/** @param {{min: number, max: number, onPick?: (x: number) => void, signal: AbortSignal}} options */
export function curves({ min, max, onPick, signal }) {
  const node = h("div", { class: "curves" });
  /** @type {any} */
  let data = null; // { curve, points, published }
  /** @type {any} */
  let mark = null; // { x, r, d, accuracy }
  const panels = QUANTITIES.map((quantity) => ({
    quantity,
    ...chart({
      title: quantity.title,
      x: { ...RATIO_AXIS, min, max },
      y: { min: 0, ...quantity },
      height: 220,
      onPick,
      signal,
    }),
  }));
  const markOf = ({ name }) => mark && { x: mark.x, y: mark[name], color: name };

  return {
    node,
    data(newData) {
      data = newData;
      const shown = panels.filter(({ quantity }) => data.curve.items.some((p) => p[quantity.name] !== null));
      node.replaceChildren(...shown.map((panel) => panel.node));
      for (const panel of shown)
        panel.show({ ...content(panel.quantity, data, { min, max, isLinked: !onPick }), mark: markOf(panel.quantity) });
    },
    mark(newMark) {
      mark = newMark;
      for (const panel of panels) panel.mark(markOf(panel.quantity));
    },
  };
}

// Returns the name of a training point, if it has one.
export const pointName = (p) => p.name ?? (p.trial ? `trial ${shortId(p.trial)}` : null);

// Returns the items of a curve with their 90 % bands.
export function bandOf(curve, name) {
  const sd = (p) => BAND_90 * p[`${name}_sd`];
  return curve.items
    .filter((p) => p[name] !== null)
    .map((p) => ({
      x: p.c,
      y: p[name],
      low: Math.max(0, p[name] - sd(p)),
      high: name === "accuracy" ? Math.min(1, p[name] + sd(p)) : p[name] + sd(p),
    }));
}

function content({ name, title, text }, { curve, points, published }, { min, max, isLinked }) {
  const line = bandOf(curve, name);
  const toItem = (p) => ({
    x: p.c,
    y: p[name],
    letter: letterOf(p.name),
    text: `${pointName(p) ?? "network"} at ratio ${significant(p.c)}: ${text(p[name])}`,
    href: isLinked && p.trial ? addressOf("trials", p.trial) : undefined,
  });
  const place = ({ x, y }) => `${text(y)} at ratio ${significant(x)}`;
  const inside = (p) => p.c >= min && p.c <= max && p[name] !== null && p[name] !== undefined;
  const dots = (label, kind, all) => ({ label, color: name, dots: kind, items: all.filter(inside).map(toItem) });
  return {
    label: `${title}, from ${place(line[0])} to ${place(line.at(-1))}`,
    series: [
      { label: "curve and 90 % band", color: name, line: true, items: line },
      dots(
        "training points",
        "filled",
        points.filter((p) => !letterOf(p.name)),
      ),
      dots("published TinyNets", "hollow", published),
    ].filter((s) => s.items.length),
    beyond: [
      [min, curve.min_c],
      [curve.max_c, max],
    ],
  };
}
