// A table of the networks that the rules give for one budget.

import { accuracyText } from "./answer.js";
import { millions, multiplier, px, signedPercent } from "./format.js";
import { table } from "./table.js";

const LABELS = {
  auto: "automatic",
  tiny_formula: "tiny formula",
  surrogate: "surrogate",
  compound: "compound",
  dwr: "dwr",
  fast: "fast",
  resolution: "resolution only",
  depth: "depth only",
  width: "width only",
};

export const ruleLabel = (name) => LABELS[name] ?? name.replaceAll("_", " ");

export function rulesTable(items, chosen) {
  const ofAnswer = (pick) => (item) => pick(item.answer);
  const columns = [
    { label: "Rule", head: true, cell: (item) => ruleLabel(item.rule) },
    { label: "r", number: true, cell: ofAnswer((a) => multiplier(a.multipliers.r)) },
    { label: "d", number: true, cell: ofAnswer((a) => multiplier(a.multipliers.d)) },
    { label: "w", number: true, cell: ofAnswer((a) => multiplier(a.multipliers.w)) },
    { label: "px", number: true, cell: ofAnswer((a) => px(a.config.resolution)) },
    { label: "Multiply-adds", number: true, cell: ofAnswer((a) => millions(a.cost.flops)) },
    { label: "Budget error", number: true, cell: ofAnswer((a) => signedPercent(a.budget_error)) },
    { label: "Parameters", number: true, cell: ofAnswer((a) => millions(a.cost.params)) },
    {
      label: "Predicted accuracy",
      number: true,
      cell: ofAnswer((a) => (a.predicted_accuracy ? accuracyText(a.predicted_accuracy) : "–")),
    },
  ];
  return table("Comparison of rules", columns, items.map((item) => ({ ...item, chosen: item.rule === chosen, instead: item.problem })), { shown: false });
}
