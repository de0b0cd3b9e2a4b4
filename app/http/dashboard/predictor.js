// One predictor's version: its curves, points and quality.

import { get, query } from "./api.js";
import { curves } from "./curve.js";
import { h } from "./dom.js";
import { fixed, percent } from "./format.js";
import { QUALITY } from "./predictors.js";
import { table } from "./table.js";

export async function predictor(page) {
  const { id, root, signal } = page;
  const path = `v1/predictors/${encodeURIComponent(id)}`;
  page.title("Predictor");
  const [one, range] = await Promise.all([get(path, signal), get(query(`${path}/curve`, { steps: 2 }), signal)]);
  page.title(`${one.architecture} on ${one.dataset}, version ${one.version}`);
  const [least, most] = [range.least / 1.5, range.most * 1.5];
  const curve = await get(query(`${path}/curve`, { least, most, steps: 120 }), signal);
  const chart = curves({ least, most });
  const columns = [
    { label: "Ratio", head: true, number: true, cell: (p) => fixed(p.c, 4) },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (p) => fixed(p[m], 3) })),
    { label: "Accuracy", number: true, cell: (p) => percent(p.accuracy) },
    { label: "Network", cell: (p) => p.name ?? "" },
  ];
  root.append(
    h("p", { class: "lead" }, `${one.active ? "In use. " : "Not in use. "}${one.provenance}`),
    h("section", { class: "card" }, h("h2", {}, "Curves"), chart.node),
    h("section", { class: "card" }, h("h2", {}, "Quality, leave-one-out"), table("Quality", QUALITY, [one], { shown: false }), gate(one.gate)),
    h("section", { class: "card" }, h("h2", {}, "What it was fitted on"), table("Training points", columns, one.points, { shown: false })),
  );
  const published = one.points.filter((p) => p.name?.startsWith("tinynet_"));
  chart.data({ curve, points: one.points, published });
}

function gate(decision) {
  if (!decision) return null;
  const columns = [
    { label: "Check", head: true, cell: (c) => c.name },
    { label: "Passed", cell: (c) => (c.passed ? "yes" : "no") },
    { label: "Detail", cell: (c) => h("span", { class: "why" }, c.detail) },
  ];
  return [h("h3", {}, "The promotion gate"), h("p", {}, decision.why), table("Checks of the gate", columns, decision.checks, { shown: false })];
}
