// One version of a predictor: curves, training points and quality.

import { activate, deactivate } from "./activate.js";
import { get, query } from "./api.js";
import { calibrationChart } from "./calibration-chart.js";
import { curves } from "./curve.js";
import { h } from "./dom.js";
import { fixed, multiplier, percent } from "./format.js";
import { manageButtons } from "./manage.js";
import { problemBox } from "./messages.js";
import { QUALITY } from "./predictors.js";
import { table } from "./table.js";

export async function predictor(page) {
  const { id, root, signal } = page;
  const path = `v1/predictors/${encodeURIComponent(id)}`;
  page.title("Predictor");
  const [current, range] = await Promise.all([get(path, signal), get(query(`${path}/curve`, { steps: 2 }), signal)]);
  page.title(current.name ?? `${current.architecture} on ${current.dataset}, version ${current.version}`);
  const [min, max] = [range.min_c / 1.5, range.max_c * 1.5];
  const curve = await get(query(`${path}/curve`, { min_c: min, max_c: max, steps: 120 }), signal);
  const chart = curves({ min, max, signal });
  const columns = [
    { label: "Ratio", head: true, number: true, cell: (p) => fixed(p.c, 4) },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (p) => multiplier(p[m]) })),
    { label: "Accuracy", number: true, cell: (p) => percent(p.accuracy) },
    { label: "Network", cell: (p) => p.name ?? "" },
  ];
  const message = h("div", { role: "status" });
  const fail = (error) => message.replaceChildren(problemBox(error));
  const reload = () => {
    root.replaceChildren();
    return predictor(page).catch(page.fail);
  };
  const active = h("button", { type: "button", onclick: () => (current.active ? deactivate(current) : activate(current, signal)).then((isDone) => isDone && reload(), fail) }, current.active ? "Deactivate" : "Activate");
  const manage = manageButtons({ path, title: "version", resource: current, changed: reload, deleted: () => (location.hash = "#/predictors"), fail });
  const quality = h("section", { class: "card" }, h("h2", {}, "Quality, leave-one-out"), table("Quality", QUALITY, [current], { shown: false }), gate(current.gate));
  root.append(
    h("p", { class: "lead" }, `${current.active ? "Active. " : current.archived_at ? "Archived. " : "Not active. "}${current.provenance}`),
    current.description ? h("p", { class: "detail" }, current.description) : "",
    h("p", { class: "actions" }, current.archived_at ? "" : active, manage),
    message,
    h("section", { class: "card" }, h("h2", {}, "Curves"), chart.node),
    quality,
    h("section", { class: "card" }, h("h2", {}, "Training points"), table("Training points", columns, current.points, { shown: false })),
  );
  const published = current.points.filter((p) => p.name?.startsWith("tinynet_"));
  chart.data({ curve, points: current.points, published });
  const calibration = calibrationChart(`${path}/calibration`, signal);
  if (await calibration.refresh()) quality.append(calibration.node);
}

function gate(decision) {
  if (!decision) return null;
  const columns = [
    { label: "Check", head: true, cell: (c) => c.name },
    { label: "Passed", cell: (c) => (c.passed ? "yes" : "no") },
    { label: "Detail", cell: (c) => h("span", { class: "detail" }, c.detail) },
  ];
  return [h("h3", {}, "Promotion gate"), h("p", {}, decision.reason), table("Checks of the promotion gate", columns, decision.checks, { shown: false })];
}
