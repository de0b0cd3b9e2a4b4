// The charts of a study: its front, hypervolume, calibration and latency. A click on a network opens its trial.

import { get, query } from "./api.js";
import { calibrationChart } from "./calibration-chart.js";
import { chart } from "./chart.js";
import { hypervolume } from "./chart-data.js";
import { h } from "./dom.js";
import { ACCURACY_AXIS, fixed, integer, millions, multiplier, percent } from "./format.js";

const PAGE = 1000;
const MAX_PAGES = 5;
const REFERENCE = 1.01; // the reference costs slightly more than any network, so that each one counts
const FLOPS_AXIS = { label: "Multiply-adds, millions", text: millions, tick: (v) => String(v / 1e6), log: true };
const COMPARED = ["compound", "family"]; // roles of networks that are trained for comparison only

export function studyCharts(path, signal) {
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
  const calibration = calibrationChart(`${path}/calibration`, signal);
  const empty = h("p", { class: "hint" }, "No training has completed yet.");
  const cut = h(
    "p",
    { class: "hint", hidden: true },
    `The charts have the first ${integer(PAGE * MAX_PAGES)} networks.`,
  );
  const others = h("div", { class: "curves" });
  const node = h("div", {}, empty, front.node, others, cut);
  front.node.hidden = true;

  async function readObservations() {
    const items = [];
    let cursor = null;
    for (let page = 0; page < MAX_PAGES && (page === 0 || cursor); page++) {
      const response = await get(query(`${path}/observations`, { limit: PAGE, cursor }), signal);
      items.push(...response.items);
      cursor = response.next;
    }
    cut.hidden = !cursor;
    return items.filter((o) => !o.retracted_at);
  }

  return {
    node,
    // `best`: the items of the study's front.
    async refresh(best) {
      const observations = await readObservations();
      empty.hidden = observations.length > 0;
      front.node.hidden = !observations.length;
      if (!observations.length) return others.replaceChildren();
      const compared = observations.filter((o) => COMPARED.includes(o.role));
      const counted = observations.filter((o) => !COMPARED.includes(o.role));
      front.show({
        series: [
          { label: "networks", color: "soft", dots: "filled", items: counted.map((o) => toItem(o, o.flops)) },
          { label: "for comparison only", color: "d", dots: "filled", items: compared.map((o) => toItem(o, o.flops)) },
          {
            label: "front",
            color: "r",
            line: true,
            dots: "hollow",
            items: best.filter((o) => !o.dominated).map((o) => toItem({ ...o, trial_id: o.trial }, o.flops)),
          },
        ].filter((s) => s.items.length),
      });
      growth.show({ series: [{ label: "hypervolume", color: "r", line: true, items: growthOf(counted) }] });
      const measured = observations.filter((o) => o.latency_ms);
      latency.show({
        series: [
          { label: "networks", color: "soft", dots: "filled", items: measured.map((o) => toItem(o, o.latency_ms)) },
        ],
      });
      const hasPredictions = await calibration.refresh();
      others.replaceChildren(
        ...[counted.length && growth.node, hasPredictions && calibration.node, measured.length && latency.node].filter(
          Boolean,
        ),
      );
    },
  };
}

function toItem(o, x) {
  const multipliers = o.r === null ? "a config" : `r ${multiplier(o.r)}, d ${multiplier(o.d)}, w ${multiplier(o.w)}`;
  return {
    x,
    y: o.accuracy,
    href: o.trial_id && `#/trials/${o.trial_id}`,
    text: `${percent(o.accuracy)} at ${millions(o.flops)}, ${multipliers}`,
  };
}

// Returns the hypervolume after each network; it is computed only when a network joins the front.
function growthOf(observations) {
  const corner = REFERENCE * Math.max(...observations.map((o) => o.flops));
  let [best, current] = [[], 0];
  return observations.map(({ flops: x, accuracy: y }, i) => {
    if (!best.some((b) => b.x <= x && b.y >= y)) {
      best = [...best.filter((b) => b.x < x || b.y > y), { x, y }];
      current = hypervolume(best, corner);
    }
    return { x: i + 1, y: current };
  });
}
