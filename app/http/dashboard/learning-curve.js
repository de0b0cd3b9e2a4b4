// The learning curve: validation and training accuracy by epoch.

import { axes, axis, chart, line, plot, ticks } from "./chart.js";
import { svg } from "./dom.js";
import { percent } from "./format.js";

export function learningCurve() {
  let epochs = [];
  let totalEpochs = 1;
  const figure = chart(
    "Accuracy by epoch: validation (solid) and training (dashed)",
    220,
    (canvas, width, height) => {
      const box = plot(width, height, { left: 46 });
      const x = axis(0, Math.max(totalEpochs, 1), box.left, box.right);
      const values = epochs.flatMap((e) => [e.validation_accuracy, e.train_accuracy]).filter((v) => v !== null && v !== undefined);
      const high = Math.min(1, Math.max(0.2, ...values) * 1.1);
      const y = axis(0, high, box.bottom, box.top);
      axes(canvas, box, x, y, ticks(0, Math.max(totalEpochs, 1), 8).filter(Number.isInteger), ticks(0, high), { yText: (v) => `${Math.round(100 * v)} %` });
      for (const [name, dot] of [["train_accuracy", 2.5], ["validation_accuracy", 4]]) {
        const points = epochs.filter((e) => e[name] !== null && e[name] !== undefined).map((e) => [x(e.epoch), y(e[name])]);
        if (!points.length) continue;
        canvas.append(svg("path", { class: `line ${name}`, d: line(points) }));
        canvas.append(...points.map(([cx, cy]) => svg("circle", { class: `point ${name}`, cx, cy, r: dot })));
      }
    },
    {
      describe: () =>
        epochs.length
          ? `Validation accuracy by epoch: ${epochs.map((e) => `${e.epoch}: ${percent(e.validation_accuracy)}`).join(", ")}.`
          : "Accuracy by epoch: none yet.",
    },
  );
  return {
    node: figure.node,
    show(newEpochs, total) {
      epochs = newEpochs;
      totalEpochs = total;
      figure.redraw();
    },
  };
}
