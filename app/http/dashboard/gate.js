// What the promotion gate decided on a version of a predictor.

import { h } from "./dom.js";
import { state } from "./messages.js";
import { table } from "./table.js";

// A version that the gate refused may still be activated by hand.
export const isRefused = (predictor) => predictor.gate?.promoted === false;

export const standing = (predictor) =>
  predictor.active ? "active" : predictor.archived_at ? "archived" : isRefused(predictor) ? "refused" : "not active";

export const standingBadges = (predictor) => [
  state(standing(predictor)),
  predictor.active && isRefused(predictor) ? [" ", state("refused")] : null,
];

// Returns the decision, its reason and the checks.
export function gateReport(decision, name = "") {
  if (!decision) return h("p", { class: "hint" }, "The promotion gate was not asked about this version.");
  const columns = [
    { label: "Check", head: true, cell: (c) => c.name },
    { label: "Passed", cell: (c) => state(c.passed ? "passed" : "refused") },
    { label: "Detail", cell: (c) => h("span", { class: "detail" }, c.detail) },
  ];
  return [
    h("p", { class: decision.promoted ? null : "warning" }, decision.reason),
    table(`Checks of the promotion gate ${name}`.trim(), columns, decision.checks, { shown: false }),
  ];
}
