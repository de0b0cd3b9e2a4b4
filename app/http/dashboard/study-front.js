// The front of a study: charts, networks, correlations, and figures for papers.

import { get } from "./api.js";
import { numberColumn } from "./columns.js";
import { h, renderOnChange } from "./dom.js";
import { figures } from "./figures.js";
import { fixed, millions, multiplier, percent, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { addressOf } from "./route.js";
import { studyCharts } from "./study-charts.js";
import { table } from "./table.js";

const LIST = {
  caption: "Networks on the front, by increasing cost",
  columns: [
    { ...numberColumn("Multiply-adds", (o) => o.flops, millions), head: true },
    numberColumn(
      "Ratio",
      (o) => o.c,
      (v) => fixed(v, 3),
    ),
    ...["r", "d", "w"].map((m) => numberColumn(m, (o) => o[m], multiplier)),
    numberColumn("Parameters", (o) => o.params, millions),
    numberColumn("Accuracy", (o) => o.accuracy, percent),
    { label: "Dominated", value: (o) => Number(o.dominated), cell: (o) => (o.dominated ? "yes" : "no") },
    {
      label: "Trial",
      value: (o) => o.trial,
      cell: (o) => (o.trial ? h("a", { href: addressOf("trials", o.trial) }, shortId(o.trial)) : o.role),
    },
  ],
  textOf: (o) => `${o.trial ?? ""} ${o.role} ${o.dominated ? "dominated" : ""}`,
  empty: "No training has completed yet.",
  prefix: "front-",
};

export function front(page, path, spec) {
  const { root, signal } = page;
  const charts = studyCharts(signal);
  const drawings = figures(path, spec.figures, signal);
  const papers = h(
    "details",
    { id: "figures", ontoggle: () => papers.open && drawings.refresh().catch(page.fail) },
    h("summary", {}, "Figures for papers"),
    drawings.node,
  );
  const list = itemList(page, LIST);
  const problem = h("p", { class: "hint" });
  const measure = h("p", { class: "hint" });
  const correlations = h("div", {});
  root.append(
    h("section", { class: "card" }, h("h2", {}, "Charts"), charts.node),
    h("section", { class: "card" }, h("h2", {}, "Front"), problem, list.node, measure),
    h("section", { class: "card" }, h("h2", {}, "Correlations with multiply-adds on the front"), correlations),
    h("section", { class: "card" }, papers),
  );
  const showCorrelations = renderOnChange(correlations, correlationTable);
  const orProblem = (error) => (error.status ? { problem: error.message } : Promise.reject(error));
  let shown = null;

  return {
    async update({ observations, isComplete, version }) {
      if (version === shown) return;
      const [found, related] = await Promise.all(
        ["front", "correlations"].map((name) => get(`${path}/${name}`, signal).catch(orProblem)),
      );
      shown = version;
      problem.textContent = found.problem ?? "";
      list.show(found.items ?? []);
      const { hypervolume = null } = found;
      measure.textContent =
        hypervolume === null ? "" : `Hypervolume ${fixed(hypervolume, 4)} (of log10 multiply-adds and accuracy).`;
      showCorrelations(related);
      charts.show({ observations, isComplete, best: found.items ?? [] });
      if (papers.open) await drawings.refresh();
    },
  };
}

function correlationTable(correlations) {
  if (correlations.problem) return h("p", { class: "hint" }, correlations.problem);
  const interval = (range) => (range ? ` (${fixed(range[0], 2)} to ${fixed(range[1], 2)})` : "");
  const value = (c, name) => (c[name] === null ? "–" : `${fixed(c[name], 2)}${interval(c[`${name}_interval`])}`);
  const columns = [
    { label: "Multiplier", head: true, cell: ([name]) => name },
    { label: "Pearson (90 % interval)", number: true, cell: ([, c]) => value(c, "pearson") },
    { label: "Spearman (90 % interval)", number: true, cell: ([, c]) => value(c, "spearman") },
  ];
  return table("Correlations with multiply-adds", columns, Object.entries(correlations), { shown: false });
}
