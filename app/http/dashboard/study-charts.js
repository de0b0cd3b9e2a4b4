// The charts of a study: its front, hypervolume, latency and multipliers. A click on a network opens its trial.

import { chart } from "./chart.js";
import { frontLine, hypervolume } from "./chart-data.js";
import { h } from "./dom.js";
import { ACCURACY_AXIS, fixed, integer, millions, multiplier, percent } from "./format.js";
import { parallelChart } from "./parallel-chart.js";
import { COMPARED, MAX_OBSERVATIONS, describeMultipliers } from "./study-data.js";

const REFERENCE = 1.01; // the reference costs slightly more than any network, so that each one counts
const FLOPS_AXIS = { label: "Multiply-adds, millions", text: millions, tick: (v) => String(v / 1e6), log: true };

const AXES = [
  ...["r", "d", "w"].map((name) => ({ name, label: name, text: multiplier, tick: (v) => fixed(v, 2) })),
  {
    name: "flops",
    label: "Multiply-adds, millions",
    short: "FLOPs, M",
    text: millions,
    tick: (v) => millions(v).replace(" M", ""),
    log: true,
  },
  { name: "accuracy", label: "Accuracy, %", short: "Acc., %", text: percent, tick: ACCURACY_AXIS.tick },
];

export function studyCharts(signal) {
  const front = chart({
    title: "Front: accuracy against multiply-adds",
    x: FLOPS_AXIS,
    y: ACCURACY_AXIS,
    height: 300,
    signal,
  });
  const growth = chart({
    title: "Hypervolume of the front, in decades of multiply-adds × accuracy",
    x: { label: "Networks trained", text: (v) => integer(Math.round(v)), whole: true },
    y: { label: "Hypervolume", text: (v) => fixed(v, 3), min: 0 },
    signal,
  });
  const latency = chart({
    title: "Accuracy against latency",
    x: { label: "Latency of one image, ms", text: (v) => `${fixed(v, 2)} ms`, log: true },
    y: ACCURACY_AXIS,
    signal,
  });
  const multipliers = parallelChart({ title: "Multipliers, cost and accuracy of each network", axes: AXES, signal });
  const empty = h("p", { class: "hint" }, "No training has completed yet.");
  const cut = h(
    "p",
    { class: "hint", hidden: true },
    `The charts have the first ${integer(MAX_OBSERVATIONS)} networks.`,
  );
  const others = h("div", { class: "curves" });
  front.node.hidden = multipliers.node.hidden = true;

  return {
    node: h("div", {}, empty, front.node, multipliers.node, others, cut),
    // `best`: the items of the study's front.
    show({ observations: all, isComplete, best }) {
      const observations = all.filter((o) => !o.retracted_at);
      cut.hidden = isComplete;
      empty.hidden = observations.length > 0;
      front.node.hidden = !observations.length;
      multipliers.node.hidden = !observations.some((o) => o.r !== null);
      if (!observations.length) return others.replaceChildren();
      const compared = observations.filter((o) => COMPARED.includes(o.role));
      const counted = observations.filter((o) => !COMPARED.includes(o.role));
      const items = best.filter((o) => !o.dominated).map((o) => toItem({ ...o, trial_id: o.trial }, o.flops));
      front.show({
        series: [
          { label: "networks", color: "soft", dots: "filled", items: counted.map((o) => toItem(o, o.flops)) },
          { label: "for comparison only", color: "d", dots: "filled", items: compared.map((o) => toItem(o, o.flops)) },
          { label: "front", color: "r", line: true, joined: frontLine(items), dots: "hollow", items },
        ].filter((s) => s.items.length),
      });
      multipliers.show(parallelSeries(observations, best));
      growth.show({ series: [{ label: "hypervolume", color: "r", line: true, items: growthOf(counted) }] });
      const measured = observations.filter((o) => o.latency_ms);
      latency.show({
        series: [
          { label: "networks", color: "soft", dots: "filled", items: measured.map((o) => toItem(o, o.latency_ms)) },
        ],
      });
      others.replaceChildren(...[counted.length && growth.node, measured.length && latency.node].filter(Boolean));
    },
  };
}

function toItem(o, x) {
  return {
    x,
    y: o.accuracy,
    href: o.trial_id && `#/trials/${o.trial_id}`,
    text: `${percent(o.accuracy)} at ${millions(o.flops)}, ${describeMultipliers(o, multiplier)}`,
  };
}

function parallelSeries(observations, best) {
  const onFront = new Set(best.filter((o) => !o.dominated).map((o) => `${o.flops} ${o.r} ${o.d} ${o.w}`));
  const scaled = observations.filter((o) => o.r !== null);
  const isBest = (o) => onFront.has(`${o.flops} ${o.r} ${o.d} ${o.w}`) && !COMPARED.includes(o.role);
  const toLine = (o) => ({ values: o, href: o.trial_id && `#/trials/${o.trial_id}` });
  return [
    { label: "networks", color: "edge", items: scaled.filter((o) => !isBest(o)).map(toLine) },
    { label: "front", color: "r", items: scaled.filter(isBest).map(toLine) },
  ].filter((s) => s.items.length);
}

// Returns the hypervolume after each network; it is computed only when a network joins the front.
function growthOf(observations) {
  const corner = REFERENCE * Math.max(...observations.map((o) => o.flops));
  /** @type {{x: number, y: number}[]} */
  let best = [];
  let current = 0;
  return observations.map(({ flops: x, accuracy: y }, i) => {
    if (!best.some((b) => b.x <= x && b.y >= y)) {
      best = [...best.filter((b) => b.x < x || b.y > y), { x, y }];
      current = hypervolume(best, corner);
    }
    return { x: i + 1, y: current };
  });
}
