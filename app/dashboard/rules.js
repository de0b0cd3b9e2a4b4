// The rules side by side, for one budget.

import { fixed, millions, percent, signedPercent } from "./format.js";
import { table } from "./table.js";

export const RULES = {
  tiny_formula: "tiny formula",
  surrogate: "surrogate",
  compound: "compound",
  dwr: "dwr",
  fast: "fast",
  resolution: "resolution alone",
  depth: "depth alone",
  width: "width alone",
};

export function rulesTable(items, chosen) {
  const has = (pick) => (item) => pick(item.answer);
  const columns = [
    { label: "Rule", head: true, cell: (item) => RULES[item.rule] ?? item.rule },
    { label: "r", number: true, cell: has((a) => fixed(a.multipliers.r, 3)) },
    { label: "d", number: true, cell: has((a) => fixed(a.multipliers.d, 3)) },
    { label: "w", number: true, cell: has((a) => fixed(a.multipliers.w, 3)) },
    { label: "px", number: true, cell: has((a) => String(a.config.resolution)) },
    { label: "Multiply-adds", number: true, cell: has((a) => millions(a.cost.flops)) },
    { label: "Off budget", number: true, cell: has((a) => signedPercent(a.budget_error)) },
    { label: "Parameters", number: true, cell: has((a) => millions(a.cost.params)) },
    {
      label: "Predicted accuracy",
      number: true,
      cell: (item) =>
        item.answer.predicted_accuracy
          ? `${percent(item.answer.predicted_accuracy.mean)} ± ${percent(item.answer.predicted_accuracy.sd)}`
          : "–",
    },
  ];
  return table("Rules side by side", columns, items.map((item) => ({ ...item, chosen: item.rule === chosen, instead: item.problem })), { shown: false });
}
