// One study: trials, figures, front, correlations and refit.

import { change, get } from "./api.js";
import { confirmAction } from "./dialog.js";
import { facts, h, renderOnChange } from "./dom.js";
import { figures } from "./figures.js";
import { fixed, integer, millions, multiplier, percent } from "./format.js";
import { manageButtons } from "./manage.js";
import { listing } from "./paged-list.js";
import { studyCharts } from "./study-charts.js";
import { specNames, ordered } from "./spec-names.js";
import { poll } from "./poll.js";
import { COUNT_ORDER } from "./states.js";
import { table } from "./table.js";
import { trialsTable } from "./trials.js";
import { problemBox, state } from "./messages.js";

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
  const message = h("div", { role: "status" });
  const counts = h("div", {});
  const spec = await specNames();
  const charts = studyCharts(path, signal);
  const drawings = figures(path, spec.figures, signal);
  const papers = h("details", { id: "figures", ontoggle: () => papers.open && drawings.refresh().catch(page.fail) }, h("summary", {}, "Figures for papers"), drawings.node);
  const front = h("div", {});
  const correlations = h("div", {});
  const refitted = h("div", { role: "status" });
  const refit = h("button", { type: "button", onclick: fit }, "Refit the predictor");
  const trialsPart = h("section", { class: "card" }, h("h2", {}, "Trials"));
  root.append(
    head,
    message,
    counts,
    h("section", { class: "card" }, h("h2", {}, "Charts"), charts.node),
    h("section", { class: "card" }, h("h2", {}, "Front"), front),
    h("section", { class: "card" }, h("h2", {}, "Correlations with multiply-adds on the front"), correlations),
    h("section", { class: "card" }, h("h2", {}, "Predictor"), h("p", { class: "hint" }, "Fits r(c) and d(c) on the front, and accuracy on all networks, as a new version of this study. To let it answer everybody, activate it on its page."), h("p", { class: "actions" }, refit), refitted),
    trialsPart,
    h("section", { class: "card" }, papers),
  );
  const showHead = renderOnChange(head, (s) => [
    state(s.state),
    h("span", {}, `${s.architecture} on ${s.dataset}, ${s.sampler} sampler, ${s.proposed} of ${s.size} networks sampled${s.owner ? `, by ${s.owner}` : ""}`),
    (ACTIONS[s.state] ?? []).map(([action, text]) =>
      h("button", { type: "button", class: action === "start" || action === "resume" ? "primary" : null, onclick: () => act(action) }, text),
    ),
    manageButtons({
      path,
      title: "study",
      resource: s,
      changed: () => polling.now(),
      deleted: () => (location.hash = "#/studies"),
      fail: (error) => message.replaceChildren(problemBox(error)),
    }),
    s.archived_at ? h("span", { class: "hint" }, "Archived.") : null,
    s.description ? h("p", { class: "detail" }, s.description) : null,
  ]);
  const showCounts = renderOnChange(counts, (trials) =>
    facts(ordered(spec.trialStates, COUNT_ORDER).map((name) => [name, integer(trials[name] ?? 0), `count-${name}`])),
  );
  const showFront = renderOnChange(front, frontTable);
  const showCorrelations = renderOnChange(correlations, correlationTable);

  async function act(action) {
    message.replaceChildren();
    if (action === "cancel" && !(await confirmAction("Cancel the study?", "Its unfinished trials are cancelled, except those that others requested. Completed trials are kept.", "Cancel the study"))) return;
    try {
      await change(`${path}/${action}`);
      polling.now();
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  async function fit() {
    refit.disabled = true;
    refitted.textContent = "Fitting …";
    try {
      const created = await change(`${path}/predictors`, {});
      refitted.replaceChildren(
        h("p", {}, `Version ${created.version} is fitted and not active. ${created.gate?.reason ?? ""} `, h("a", { href: `#/predictors/${created.id}` }, "Curves and quality")),
      );
    } catch (error) {
      refitted.replaceChildren(problemBox(error));
    }
    refit.disabled = false;
  }

  // Charts and figures change with the front and with every completed trial.
  let shownResults;
  async function load() {
    const current = await get(path, signal);
    page.title(current.name);
    showHead({ name: current.name, owner: current.owner, description: current.description, archived_at: current.archived_at, state: current.state, architecture: current.architecture, dataset: current.dataset, sampler: current.sampler, proposed: current.proposed, size: current.size });
    showCounts(current.trials);
    const loadPart = (name, show) => get(`${path}/${name}`, signal).then(show, (error) => (error.status ? show({ problem: error.message }) : Promise.reject(error)));
    const [currentFront] = await Promise.all([loadPart("front", (f) => (showFront(f), f)), loadPart("correlations", showCorrelations)]);
    const results = JSON.stringify([current.trials.completed, currentFront]);
    if (results !== shownResults) {
      charts.refresh(currentFront.items ?? []).catch(page.fail);
      if (papers.open) drawings.refresh().catch(page.fail);
    }
    shownResults = results;
    return current;
  }

  const polling = poll(load, signal);
  listing({ ...page, root: trialsPart }, { path: "v1/trials", filters: () => ({ study: id }), render: trialsTable("Trials of the study, newest first"), empty: "There are no trials yet. They are created when the study starts." });
  await polling.running;
}

function frontTable(front) {
  if (front.problem || !front.items.length) return h("p", { class: "hint" }, front.problem ?? "No training has completed yet.");
  const columns = [
    { label: "Multiply-adds", head: true, number: true, cell: (o) => millions(o.flops) },
    { label: "Ratio", number: true, cell: (o) => fixed(o.c, 3) },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (o) => multiplier(o[m]) })),
    { label: "Parameters", number: true, cell: (o) => millions(o.params) },
    { label: "Accuracy", number: true, cell: (o) => percent(o.accuracy) },
    { label: "Dominated", cell: (o) => (o.dominated ? "yes" : "no") },
    { label: "Trial", cell: (o) => (o.trial ? h("a", { href: `#/trials/${o.trial}` }, o.trial.slice(0, 8)) : o.role) },
  ];
  return [
    table("Networks on the front, by increasing cost", columns, front.items),
    front.hypervolume === null ? null : h("p", { class: "hint" }, `Hypervolume ${fixed(front.hypervolume, 4)} (of log10 multiply-adds and accuracy).`),
  ];
}

function correlationTable(correlations) {
  if (correlations.problem) return h("p", { class: "hint" }, correlations.problem);
  const value = (c, name) =>
    c[name] === null ? "–" : `${fixed(c[name], 2)}${c[`${name}_interval`] ? ` (${fixed(c[`${name}_interval`][0], 2)} to ${fixed(c[`${name}_interval`][1], 2)})` : ""}`;
  const columns = [
    { label: "Multiplier", head: true, cell: ([name]) => name },
    { label: "Pearson (90 % interval)", number: true, cell: ([, c]) => value(c, "pearson") },
    { label: "Spearman (90 % interval)", number: true, cell: ([, c]) => value(c, "spearman") },
  ];
  return table("Correlations with multiply-adds", columns, Object.entries(correlations), { shown: false });
}
