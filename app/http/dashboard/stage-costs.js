// Cost by stage as a bar chart and a table.

import { axis, chart } from "./chart.js";
import { h, svg } from "./dom.js";
import { bytes, millions, percent, integer } from "./format.js";
import { table } from "./table.js";

const ROW = 24;

const stageLabel = (stage) => stage.replace("stages.", "stage ");

export function stageCosts(cost) {
  const max = Math.max(...cost.stages.map((s) => s.flops));
  const bars = chart(
    "Multiply-adds by stage",
    cost.stages.length * ROW + 6,
    (canvas, width) => {
      const x = axis(0, max, 70, width - 82);
      cost.stages.forEach((stage, i) => {
        const y = i * ROW + 4;
        canvas.append(
          svg("text", { class: "tick", x: 62, y: y + 14, "text-anchor": "end" }, stageLabel(stage.stage)),
          svg("rect", { class: "bar", x: 70, y, width: Math.max(1, x(stage.flops) - 70), height: ROW - 6, rx: 2 }),
          svg("text", { class: "tick", x: x(stage.flops) + 6, y: y + 14 }, millions(stage.flops)),
        );
      });
    },
    { describe: () => `Multiply-adds by stage: ${cost.stages.map((s) => `${stageLabel(s.stage)} ${millions(s.flops)}`).join(", ")}.` },
  );
  const columns = [
    { label: "Stage", cell: (s) => stageLabel(s.stage), head: true },
    { label: "Multiply-adds", cell: (s) => millions(s.flops), number: true },
    { label: "Share", cell: (s) => percent(s.flops / cost.flops), number: true },
    { label: "Parameters", cell: (s) => integer(s.params), number: true },
    { label: "Peak activations", cell: (s) => bytes(s.peak_activation_bytes), number: true },
  ];
  return h("div", { class: "pair" }, bars.node, table("Cost by stage", columns, cost.stages, { shown: false }));
}
