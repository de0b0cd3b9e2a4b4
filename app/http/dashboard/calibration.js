// How well predicted accuracies agree with the measured ones: coverage, chart and list.

import { get } from "./api.js";
import { calibrationChart } from "./calibration-chart.js";
import { numberColumn } from "./columns.js";
import { facts, h } from "./dom.js";
import { BAND_90, integer, percent, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { addressOf } from "./route.js";

const isInside = (o) => Math.abs(o.measured - o.mean) <= BAND_90 * o.sd;

const LIST = {
  caption: "Predicted and measured accuracies",
  columns: [
    {
      label: "Trial",
      head: true,
      value: (o) => o.trial,
      cell: (o) => (o.trial ? h("a", { href: addressOf("trials", o.trial) }, shortId(o.trial)) : "trained elsewhere"),
    },
    numberColumn("Predicted", (o) => o.mean, percent),
    numberColumn("Standard deviation", (o) => o.sd, percent),
    numberColumn("Measured", (o) => o.measured, percent),
    numberColumn(
      "Error",
      (o) => o.measured - o.mean,
      (v) => `${v < 0 ? "−" : "+"}${percent(Math.abs(v))}`,
    ),
    { label: "In the 90 % band", value: (o) => Number(isInside(o)), cell: (o) => (isInside(o) ? "yes" : "no") },
  ],
  textOf: (o) => `${o.trial ?? "trained elsewhere"} ${isInside(o) ? "inside" : "outside"}`,
  empty: "Nothing was predicted yet.",
};

export function calibration(page, path) {
  const coverage = h("div", {});
  const chart = calibrationChart(page.signal);
  const list = itemList(page, { ...LIST, prefix: "calibration-" });
  const none = h("p", { class: "hint" }, "No accuracy was predicted before a training yet.");
  const content = h("div", { hidden: true }, coverage, chart.node, list.node);
  return {
    node: h("section", { class: "card" }, h("h2", {}, "Calibration"), none, content),
    async refresh() {
      const found = await get(path, page.signal);
      none.hidden = found.items.length > 0;
      content.hidden = !found.items.length;
      list.show(found.items);
      if (!found.items.length) return;
      coverage.replaceChildren(
        facts([
          ["Networks", integer(found.trials)],
          ["Within the 90 % band", percent(found.coverage_90, 0)],
          ["Within the 50 % band", percent(found.coverage_50, 0)],
        ]),
      );
      chart.show(found);
    },
  };
}
