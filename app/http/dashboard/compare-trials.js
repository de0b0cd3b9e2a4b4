// Trials side by side: results, curves, differences of network and recipe, confusions.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { confusion } from "./confusion.js";
import { differences } from "./differences.js";
import { h, renderOnChange, uniqueId } from "./dom.js";
import { dateTime, duration, fixed, millions, multiplier, percent, px, shortId } from "./format.js";
import { CHARTS } from "./learning-curve.js";
import { problemBox, state } from "./messages.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";
import { curvesCard, letter, lineStyle, sideBySide } from "./side-by-side.js";
import { hasEnded } from "./states.js";
import { trialName } from "./trials.js";

export async function compareTrials(page, ids) {
  const { root, signal } = page;
  page.title("Comparison of trials");
  const problems = h("div", {});
  const results = h("section", { class: "card" });
  const panels = CHARTS.map(({ lines, ...axes }) => ({
    line: lines[0],
    ...chart({ ...axes, title: axes.title.replace("by", "of validation by"), x: EPOCHS, height: 280, signal }),
  }));
  const onlyDifferent = h("input", { type: "checkbox", id: uniqueId("different"), checked: true });
  const settings = h("div", {});
  const matrices = h("div", { class: "curves wide" });
  root.append(
    problems,
    results,
    curvesCard(panels),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Network and recipe"),
      h("p", { class: "bar" }, onlyDifferent, h("label", { for: onlyDifferent.id }, "Only what differs")),
      settings,
    ),
    h("section", { class: "card" }, h("h2", {}, "Confusions"), matrices),
  );
  const showProblems = renderOnChange(problems, (list) => list.map(({ message }) => problemBox({ message })));
  const showResults = renderOnChange(results, (trials) => [h("h2", {}, "Results"), resultTable(trials)]);
  const showSettings = renderOnChange(settings, ({ trials, isShort }) => settingsTable(trials, isShort));
  const showMatrices = renderOnChange(matrices, (trials) => trials.map(matrix));
  let shown = [];
  const showChosenSettings = () => showSettings({ trials: shown.map(settingsOf), isShort: onlyDifferent.checked });
  onlyDifferent.addEventListener("change", showChosenSettings);

  await poll(
    async () => {
      const read = await Promise.all(
        ids.map((id) => get(`v1/trials/${encodeURIComponent(id)}`, signal).catch((error) => failed(id, error))),
      );
      shown = read.filter((t) => t.id);
      showProblems(read.filter((t) => !t.id));
      if (!shown.length) return read;
      showResults(shown);
      for (const { line, show } of panels) show({ series: shown.map((t, i) => curveOf(t, i, line)) });
      showChosenSettings();
      showMatrices(shown.map((t, i) => ({ name: nameOf(t, i), result: t.result })).filter((t) => t.result));
      matrices.parentNode.hidden = !shown.some((t) => t.result);
      return read;
    },
    signal,
    { isDone: (read) => read.every((t) => !t.id || hasEnded(t.state)), kinds: ["trials"] },
  ).running;
}

const EPOCHS = { label: "Epoch", text: (v) => String(Math.round(v)), whole: true };

// Returns the problem of a trial that cannot be read, so that the others are compared.
function failed(id, error) {
  if (!error.status) throw error;
  return { message: `Trial ${id}: ${error.message}` };
}

const nameOf = (t, i) => `${letter(i)}: ${shortId(t.id)}`;

const settingsOf = ({ id, name, config, recipe, seed, dataset, dataset_digest }) => ({
  id,
  name,
  compared: { dataset, dataset_digest, seed, config: { ...config, timm: undefined }, recipe },
});

/** @param {string[]} line */
function curveOf(trial, i, line) {
  const [name] = line;
  const epochs = (trial.result?.history ?? []).filter((e) => (e[name] ?? null) !== null);
  return {
    label: nameOf(trial, i),
    ...lineStyle(i),
    line: true,
    dots: "filled",
    items: epochs.map((e) => ({ x: e.epoch, y: e[name] })),
  };
}

function resultTable(trials) {
  const of = (value) => trials.map(value);
  const best = Math.max(...of((t) => t.result?.accuracy ?? -1));
  const accuracy = (t) => {
    const text = percent(t.result?.accuracy);
    return t.result?.accuracy === best && trials.length > 1 ? h("strong", {}, `${text} (best)`) : text;
  };
  const rows = [
    ["Trial", of((t) => h("a", { href: addressOf("trials", t.id) }, trialName(t)))],
    ["State", of((t) => state(t.state))],
    ["Validation accuracy", of(accuracy)],
    ["Test accuracy", of((t) => percent(t.result?.test_accuracy))],
    [
      "Predicted accuracy",
      of((t) => (t.predicted ? `${percent(t.predicted.mean)} ± ${percent(t.predicted.sd)}` : "–")),
    ],
    ["Baseline", of((t) => t.architecture)],
    ["Data set", of((t) => t.dataset)],
    ["r, d, w", of((t) => (t.multipliers ? ["r", "d", "w"].map((m) => multiplier(t.multipliers[m])).join(", ") : "–"))],
    ["Input (px)", of((t) => px(t.config.resolution))],
    ["Multiply-adds", of((t) => millions(t.flops))],
    ["Parameters", of((t) => millions(t.params))],
    ["Latency", of((t) => (t.result?.latency ? `${fixed(t.result.latency.median_ms, 2)} ms` : "–"))],
    ["Duration", of((t) => duration(t.result?.seconds))],
    ["Finished", of((t) => dateTime(t.finished_at))],
  ];
  return sideBySide(
    "Results",
    trials.map((t, i) => letter(i)),
    rows,
  );
}

function settingsTable(trials, isShort) {
  const all = differences(trials.map((t) => t.compared));
  const rows = isShort ? all.filter((row) => row.differs) : all;
  if (!rows.length) return h("p", { class: "hint" }, "Network, data, recipe and seed are the same.");
  const text = (value) => (value === undefined ? "–" : String(value));
  return sideBySide(
    "Network and recipe",
    trials.map((t, i) => letter(i)),
    rows.map(({ path, values, differs }) => [
      path,
      values.map((value) => (differs && !isShort ? h("strong", {}, text(value)) : text(value))),
    ]),
  );
}

const matrix = ({ name, result }) =>
  h(
    "div",
    {},
    h("h3", {}, name),
    confusion(result, `Test images of ${name}`) ?? h("p", { class: "hint" }, "No classes."),
  );
