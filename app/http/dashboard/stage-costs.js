// Cost by stage as a table with bars.

import { h } from "./dom.js";
import { bytes, millions, percent, integer } from "./format.js";
import { table } from "./table.js";

export function stageCosts(stages, total) {
  const max = Math.max(...stages.map((s) => s.flops));
  const bar = (stage) => {
    const node = h("span", { class: "stage-bar", "aria-hidden": "true" });
    node.style.width = `${(100 * stage.flops) / max}%`;
    return h("span", { class: "stage-track" }, node);
  };
  const columns = [
    { label: "Stage", cell: (s) => s.stage.replace("stages.", "stage "), head: true },
    { label: "Multiply-adds", cell: (s) => millions(s.flops), number: true },
    { label: "Share", cell: (s) => h("span", { class: "share" }, bar(s), percent(s.flops / total)) },
    { label: "Parameters", cell: (s) => integer(s.params), number: true },
    { label: "Peak activations", cell: (s) => bytes(s.peak_activation_bytes), number: true },
  ];
  return table("Cost by stage", columns, stages, { shown: false });
}
