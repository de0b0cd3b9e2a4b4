// Loss and accuracy of a trial by epoch.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { ACCURACY_AXIS, fixed, integer } from "./format.js";

export const CHARTS = [
  {
    title: "Accuracy by epoch",
    y: ACCURACY_AXIS,
    lines: [
      ["validation_accuracy", "validation", "r"],
      ["train_accuracy", "training", "edge"],
    ],
  },
  {
    title: "Loss by epoch",
    y: { label: "Loss", text: (v) => fixed(v, 3), min: 0 },
    lines: [
      ["validation_loss", "validation", "r"],
      ["train_loss", "training", "edge"],
    ],
  },
];

export function learningCurve(signal) {
  const panels = CHARTS.map(({ title, y, lines }) => ({
    lines,
    ...chart({ title, x: { label: "Epoch", text: (v) => integer(Math.round(v)), whole: true }, y, signal }),
  }));
  return {
    node: h(
      "div",
      { class: "curves" },
      panels.map((panel) => panel.node),
    ),
    show(epochs) {
      for (const { lines, show } of panels) {
        const series = lines.map(([name, label, color]) => ({
          label,
          color,
          line: true,
          dash: label === "training" ? [4, 3] : undefined,
          dots: "filled",
          items: epochs.filter((e) => (e[name] ?? null) !== null).map((e) => ({ x: e.epoch, y: e[name] })),
        }));
        show({ series: series.filter((s) => s.items.length) });
      }
    },
  };
}
