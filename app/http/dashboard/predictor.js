// One version of a predictor: curves, training points, quality, gate and calibration.

import { activate, deactivate } from "./activate.js";
import { get, query } from "./api.js";
import { calibration } from "./calibration.js";
import { numberColumn, textColumn } from "./columns.js";
import { curves, pointName } from "./curve.js";
import { h } from "./dom.js";
import { fixed, multiplier, percent } from "./format.js";
import { gateReport, standingBadges } from "./gate.js";
import { itemList } from "./item-list.js";
import { manageButtons } from "./manage.js";
import { problemBox } from "./messages.js";
import { QUALITY } from "./predictors.js";
import { addressOf } from "./route.js";
import { table } from "./table.js";

const POINTS = {
  caption: "Training points",
  columns: [
    {
      ...numberColumn(
        "Ratio",
        (p) => p.c,
        (v) => fixed(v, 4),
      ),
      head: true,
    },
    ...["r", "d", "w"].map((m) => numberColumn(m, (p) => p[m], multiplier)),
    numberColumn("Accuracy", (p) => p.accuracy, percent),
    textColumn("Network", pointName, (p) =>
      p.trial ? h("a", { href: addressOf("trials", p.trial) }, pointName(p)) : (pointName(p) ?? "–"),
    ),
  ],
  textOf: (p) => `${pointName(p) ?? ""} ${p.trial ?? ""} ${fixed(p.c, 4)}`,
  empty: "There are no training points.",
};

export async function predictor(page) {
  const { id, root, signal } = page;
  const path = `v1/predictors/${encodeURIComponent(id)}`;
  page.title("Predictor");
  const [current, range] = await Promise.all([get(path, signal), get(query(`${path}/curve`, { steps: 2 }), signal)]);
  page.title(current.name ?? `${current.architecture} on ${current.dataset}, version ${current.version}`);
  const [min, max] = [range.min_c / 1.5, range.max_c * 1.5];
  const curve = await get(query(`${path}/curve`, { min_c: min, max_c: max, steps: 120 }), signal);
  const chart = curves({ min, max, signal });
  const points = itemList(page, { ...POINTS, prefix: "point-" });
  const message = h("div", { role: "status" });
  const fail = (error) => message.replaceChildren(problemBox(error));
  const reload = () => {
    root.replaceChildren();
    return predictor(page).catch(page.fail);
  };
  const toggle = () => (current.active ? deactivate(current) : activate(current, signal));
  const active = h(
    "button",
    { type: "button", onclick: () => toggle().then((isDone) => (isDone ? reload() : undefined), fail) },
    current.active ? "Deactivate" : "Activate",
  );
  const manage = manageButtons({
    path,
    title: "version",
    resource: current,
    changed: reload,
    deleted: () => (location.hash = "#/predictors"),
    fail,
  });
  const measured = calibration(page, `${path}/calibration`);
  root.append(
    h(
      "p",
      { class: "lead" },
      `${current.active ? "Active. " : current.archived_at ? "Archived. " : "Not active. "}${current.provenance}`,
    ),
    current.description ? h("p", { class: "detail" }, current.description) : "",
    h("p", { class: "bar" }, standingBadges(current), trail(current)),
    h("p", { class: "actions" }, current.archived_at ? "" : active, manage),
    message,
    h("section", { class: "card" }, h("h2", {}, "Curves"), chart.node),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Quality, leave-one-out"),
      table("Quality", QUALITY, [current], { shown: false }),
      h("h3", {}, "Promotion gate"),
      gateReport(current.gate),
    ),
    measured.node,
    h("section", { class: "card" }, h("h2", {}, "Training points"), points.node),
  );
  const published = current.points.filter((p) => p.name?.startsWith("tinynet_"));
  chart.data({ curve, points: current.points, published });
  points.show(current.points);
  await measured.refresh();
}

// The way to the study that it was fitted on, to its answers, and to its other versions.
const trail = ({ id, architecture, dataset, study_id: study }) =>
  h(
    "span",
    { class: "trail" },
    study ? h("a", { href: addressOf("studies", study, "predictor") }, "Study") : null,
    h("a", { href: addressOf("scale", "", "", { architecture, predictor: id }) }, "Answers of this version"),
    h("a", { href: addressOf("predictors", "", "", { q: `${architecture} ${dataset}` }) }, "Versions to compare"),
  );
