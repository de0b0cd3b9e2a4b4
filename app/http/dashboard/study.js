// One study: its trials, the paper's figures from what it has seen so far, the front, correlations, a refit.

import { change, get } from "./api.js";
import { confirmed } from "./dialog.js";
import { h, live } from "./dom.js";
import { figures } from "./figures.js";
import { fixed, millions, percent, whole } from "./format.js";
import { listing } from "./listing.js";
import { poll } from "./poll.js";
import { table } from "./table.js";
import { trialsTable } from "./trials.js";
import { problemBox, state } from "./words.js";

const ACTIONS = {
  created: [["start", "Start"], ["cancel", "Cancel"]],
  running: [["pause", "Pause"], ["cancel", "Cancel"]],
  paused: [["resume", "Resume"], ["cancel", "Cancel"]],
};

export async function study(page) {
  const { root, id, signal } = page;
  const path = `v1/studies/${id}`;
  page.title("Study");
  const head = h("div", { class: "bar" });
  const said = h("div", { role: "status" });
  const counts = h("div", {});
  const drawings = figures(path, signal);
  const front = h("div", {});
  const correlations = h("div", {});
  const refitted = h("div", { role: "status" });
  const refit = h("button", { type: "button", onclick: fit }, "Fit the predictor now");
  const trialsPart = h("section", { class: "card" }, h("h2", {}, "Trials"));
  root.append(
    head,
    said,
    counts,
    h("section", { class: "card" }, h("h2", {}, "Figures"), drawings.node),
    h("section", { class: "card" }, h("h2", {}, "The front"), front),
    h("section", { class: "card" }, h("h2", {}, "Correlations with multiply-adds, on the front"), correlations),
    h("section", { class: "card" }, h("h2", {}, "Predictor"), h("p", { class: "hint" }, "Fits r(c) and d(c) on the front, and accuracy on all networks: a new version, in use at once if the promotion gate lets it through."), h("p", { class: "actions" }, refit), refitted),
    trialsPart,
  );
  const showHead = live(head, (s) => [
    state(s.state),
    h("span", {}, `${s.architecture} on ${s.dataset}, ${s.sampler} sampler, ${s.proposed} of ${s.size} networks drawn`),
    (ACTIONS[s.state] ?? []).map(([what, text]) =>
      h("button", { type: "button", class: what === "start" || what === "resume" ? "primary" : null, onclick: () => act(what) }, text),
    ),
  ]);
  const showCounts = live(counts, (trials) =>
    h("dl", { class: "facts" }, ["completed", "running", "queued", "failed", "cancelled"].map((name) => h("div", {}, h("dt", {}, name), h("dd", { id: `count-${name}` }, whole(trials[name] ?? 0))))),
  );
  const showFront = live(front, frontTable);
  const showCorrelations = live(correlations, correlationTable);

  async function act(what) {
    said.replaceChildren();
    if (what === "cancel" && !(await confirmed("Stop the study?", "Trials that no one else wants are cancelled. Finished ones stay.", "Stop it"))) return;
    try {
      await change(`${path}/${what}`);
      polling.now();
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
  }

  async function fit() {
    refit.disabled = true;
    refitted.textContent = "Fitting …";
    try {
      const made = await change(`${path}/predictors`, { activate: "gate" });
      refitted.replaceChildren(
        h("p", {}, `Version ${made.version}${made.active ? " is in use. " : " is kept, not in use. "}${made.gate?.why ?? ""} `, h("a", { href: `#/predictors/${made.id}` }, "Its curve and quality")),
      );
    } catch (error) {
      refitted.replaceChildren(problemBox(error));
    }
    refit.disabled = false;
  }

  // What the front says changes when a trial completes or an observation is told.
  let seen;
  async function ask() {
    const one = await get(path, signal);
    page.title(one.name);
    showHead({ state: one.state, architecture: one.architecture, dataset: one.dataset, sampler: one.sampler, proposed: one.proposed, size: one.size });
    showCounts(one.trials);
    const of = (name, show) => get(`${path}/${name}`, signal).then(show, (error) => (error.status ? show({ problem: error.message }) : Promise.reject(error)));
    const [now] = await Promise.all([of("front", (f) => (showFront(f), f)), of("correlations", showCorrelations)]);
    const known = JSON.stringify([one.trials.completed, now]);
    if (known !== seen) drawings.again().catch(page.fail);
    seen = known;
    return one;
  }

  const polling = poll(ask, signal);
  listing({ ...page, root: trialsPart }, { path: "v1/trials", filters: () => ({ study: id }), render: trialsTable("Its trials, newest first"), empty: "None yet: they come when it starts." });
  await polling.running;
}

function frontTable(front) {
  if (front.problem || !front.items.length) return h("p", { class: "hint" }, front.problem ?? "No network has finished yet.");
  const columns = [
    { label: "Multiply-adds", head: true, number: true, cell: (o) => millions(o.flops) },
    { label: "Ratio", number: true, cell: (o) => fixed(o.c, 3) },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (o) => fixed(o[m], 3) })),
    { label: "Parameters", number: true, cell: (o) => millions(o.params) },
    { label: "Accuracy", number: true, cell: (o) => percent(o.accuracy) },
    { label: "Dominated", cell: (o) => (o.dominated ? "yes" : "no") },
    { label: "Trial", cell: (o) => (o.trial ? h("a", { href: `#/trials/${o.trial}` }, o.trial.slice(0, 8)) : o.role) },
  ];
  return [
    table("Networks on the front, by rising cost", columns, front.items),
    front.hypervolume === null ? null : h("p", { class: "hint" }, `Hypervolume ${fixed(front.hypervolume, 4)} (of log10 multiply-adds and accuracy).`),
  ];
}

function correlationTable(given) {
  if (given.problem) return h("p", { class: "hint" }, given.problem);
  const value = (c, name) =>
    c[name] === null ? "–" : `${fixed(c[name], 2)}${c[`${name}_interval`] ? ` (${fixed(c[`${name}_interval`][0], 2)} to ${fixed(c[`${name}_interval`][1], 2)})` : ""}`;
  const columns = [
    { label: "Multiplier", head: true, cell: ([name]) => name },
    { label: "Pearson (90 % interval)", number: true, cell: ([, c]) => value(c, "pearson") },
    { label: "Spearman (90 % interval)", number: true, cell: ([, c]) => value(c, "spearman") },
  ];
  return table("Correlations with multiply-adds", columns, Object.entries(given), { shown: false });
}
