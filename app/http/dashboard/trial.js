// One trial, updated by its events.

import { getBlob, change, get } from "./api.js";
import { numberColumn } from "./columns.js";
import { confusion } from "./confusion.js";
import { facts, h, renderOnChange } from "./dom.js";
import { saveAs } from "./download.js";
import { events } from "./events.js";
import { dateTime, duration, fixed, integer, millions, multiplier, percent, px, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { currentKey } from "./key.js";
import { learningCurve } from "./learning-curve.js";
import { manageButtons } from "./manage.js";
import { addressOf } from "./route.js";
import { canRetry, hasCompleted, hasEnded, isRunning, isWaiting } from "./states.js";
import { table } from "./table.js";
import { problemBox, state } from "./messages.js";

const ARTIFACTS = ["weights.safetensors", "model.onnx", "log.csv"];
const NAMED_ARTIFACTS = ["labels.txt", "confusion.csv"]; // of classifiers, unless an earlier version trained them

export async function trial(page) {
  const { root, id, signal } = page;
  const path = `v1/trials/${id}`;
  page.title(`Trial ${shortId(id)}`);
  const head = h("div", { class: "bar" });
  const bar = h("div", { class: "fill" });
  const progress = h(
    "div",
    { class: "progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 },
    bar,
  );
  const now = h("p", { id: "now", class: "now" });
  const announcement = h("p", { class: "visually-hidden", role: "status", id: "announcement" });
  const message = h("div", {});
  const curve = learningCurve(signal);
  const trail = h("p", { class: "trail" });
  const body = h("div", {});
  const tables = h("div", {});
  root.append(
    head,
    trail,
    message,
    h("section", { class: "card", "aria-label": "Progress" }, progress, now, curve.node),
    body,
    tables,
    announcement,
  );
  const byClass = itemList(page, { ...CLASSES, prefix: "class-" });
  const log = itemList(page, { ...LOG, prefix: "log-" });
  const showTables = renderOnChange(tables, (result) => resultTables(result, byClass, log));
  const showTrail = renderOnChange(trail, (t) => trailOf(t));
  /** @type {any} */
  let current = null;
  /** @type {AbortController | null} */
  let following = null;
  const byEpoch = new Map();

  const showHead = renderOnChange(head, (t) => [
    state(t.awaiting_promotion ? "awaiting promotion" : t.state),
    h("span", {}, `${t.architecture} on ${t.dataset}`),
    !hasEnded(t.state)
      ? h(
          "button",
          { type: "button", disabled: t.cancel_requested, onclick: () => act("cancel") },
          t.cancel_requested ? "Cancelling …" : "Cancel",
        )
      : null,
    canRetry(t.state) ? h("button", { type: "button", class: "primary", onclick: () => act("retry") }, "Retry") : null,
    manageButtons({
      path,
      title: "trial",
      resource: t,
      changed: () => read().catch(page.fail),
      deleted: () => (location.hash = "#/trials"),
      fail: (error) => message.replaceChildren(problemBox(error)),
    }),
    t.archived_at ? h("span", { class: "hint" }, "Archived.") : null,
    t.description ? h("p", { class: "detail" }, t.description) : null,
  ]);
  const showBody = renderOnChange(body, (t) => detail(t, download));

  async function download(event) {
    if (!currentKey()) return;
    event.preventDefault();
    const link = event.currentTarget;
    try {
      saveAs(await getBlob(link.href, signal), link.getAttribute("download"));
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  async function act(action) {
    message.replaceChildren();
    try {
      await change(`${path}/${action}`);
      if (action === "retry") byEpoch.clear();
      await read();
      follow().catch(page.fail);
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  async function read() {
    current = await get(path, signal);
    for (const epoch of current.result?.history ?? []) byEpoch.set(epoch.epoch, epoch);
    page.title(current.name ?? `Trial ${shortId(id)}`);
    showHead({
      name: current.name,
      description: current.description,
      archived_at: current.archived_at,
      state: current.state,
      awaiting_promotion: current.awaiting_promotion,
      architecture: current.architecture,
      dataset: current.dataset,
      cancel_requested: current.cancel_requested,
    });
    const { id: own, studies, architecture, dataset, flops, multipliers, predicted } = current;
    showTrail({ id: own, studies, architecture, dataset, flops, multipliers, predicted });
    showBody(current);
    showTables(current.result);
    if (hasEnded(current.state)) showProgress(current.progress); // otherwise the events have the progress
  }

  function showProgress(latest) {
    const { epochs } = current.recipe;
    const ended = hasCompleted(current.state);
    const within =
      latest?.steps && !(latest.validation_accuracy >= 0 && latest.validation_accuracy !== null)
        ? latest.step / latest.steps
        : 0;
    const share = ended ? 1 : latest ? Math.min(1, (latest.epoch + within) / epochs) : 0;
    bar.style.width = `${100 * share}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * share));
    now.textContent = ended
      ? `${epochs} of ${epochs} epochs.`
      : latest
        ? `Epoch ${Math.min(epochs, Math.floor(latest.epoch + within) + (share < 1 ? 1 : 0))} of ${epochs}, loss ${fixed(latest.train_loss, 3)}, ${integer(Math.round(latest.images_per_second ?? 0))} images a second` +
          (isRunning(current.state) && latest.seconds_left ? `, ${duration(latest.seconds_left)} left.` : ".")
        : isWaiting(current.state)
          ? "Waiting for a worker."
          : `Not trained: ${current.state}.`;
    curve.show([...byEpoch.values()].sort((a, b) => a.epoch - b.epoch));
  }

  async function follow() {
    following?.abort();
    const controller = (following = new AbortController());
    signal.addEventListener("abort", () => controller.abort());
    for await (const event of events(id, controller.signal)) {
      if (event.kind === "progress") {
        const { epoch, validation_accuracy: accuracy } = event.data;
        if (accuracy !== null && accuracy !== undefined) {
          if (!byEpoch.get(epoch)?.train_accuracy)
            byEpoch.set(epoch, { epoch, validation_accuracy: accuracy, train_loss: event.data.train_loss });
          announcement.textContent = `Epoch ${epoch} of ${event.data.epochs}: accuracy ${percent(accuracy)}.`;
        }
        showProgress(event.data);
      } else {
        announcement.textContent = `The trial is ${event.data.state}.`;
        await read();
      }
    }
    await read();
  }

  await read();
  showProgress(null);
  await follow();
}

// The way to the studies of the trial, the predictor that expected its accuracy, and the answer for its cost.
function trailOf({ id, studies, architecture, dataset, flops, multipliers, predicted }) {
  const predictor = predicted?.predictor;
  const answer = addressOf("scale", "", "", { architecture, dataset, flops, predictor });
  const links = [
    ...studies.map((study, i) => [studies.length > 1 ? `Study ${i + 1}` : "Study", addressOf("studies", study)]),
    predictor && ["Predictor", addressOf("predictors", predictor)],
    multipliers && ["Answer for this cost", answer],
    ["Compare with another trial", addressOf("trials", "", "", { q: dataset })],
  ];
  return links.filter(Boolean).map(([text, href]) => h("a", { href, "data-key": `${id} ${text}` }, text));
}

const CLASSES = {
  caption: "Accuracy by class, test part",
  columns: [
    { label: "Class", head: true, value: (c) => c.class, cell: (c) => c.class },
    numberColumn("Accuracy", (c) => c.accuracy, percent),
    numberColumn("Images", (c) => c.images, integer),
  ],
  textOf: (c) => c.class,
  empty: "There are no classes.",
};

const LOG = {
  caption: "Metrics by epoch",
  columns: [
    { ...numberColumn("Epoch", (e) => e.epoch, integer), head: true },
    numberColumn(
      "Training loss",
      (e) => e.train_loss,
      (v) => fixed(v, 4),
    ),
    numberColumn("Training accuracy", (e) => e.train_accuracy, percent),
    numberColumn(
      "Validation loss",
      (e) => e.validation_loss,
      (v) => fixed(v, 4),
    ),
    numberColumn("Validation accuracy", (e) => e.validation_accuracy, percent),
  ],
  textOf: (e) => String(e.epoch),
  empty: "No epoch has completed.",
};

function resultTables(result, byClass, log) {
  if (!result) return [];
  const matrix = confusion(result);
  byClass.show(result.test_by_class ?? []);
  log.show(result.history);
  const card = (title, ...content) => h("section", { class: "card" }, h("h2", {}, title), content);
  return [
    matrix && card("Confusions", matrix),
    result.test_by_class && card("Classes", byClass.node),
    card("Log", log.node),
  ];
}

function detail(t, download) {
  const result = t.result;
  const networkFacts = [
    ["Multiply-adds", millions(t.flops)],
    ["Parameters", millions(t.params)],
    ["Input (px)", px(t.config.resolution)],
    ["r, d, w", t.multipliers ? ["r", "d", "w"].map((m) => multiplier(t.multipliers[m])).join(", ") : "–"],
    ["Seed", String(t.seed)],
    ["Requested", dateTime(t.created_at)],
    ["Finished", dateTime(t.finished_at)],
  ];
  const resultFacts = result && [
    [`Validation (${result.metric})`, percent(result.accuracy), "fact-accuracy"],
    ["Test", percent(result.test_accuracy)],
    ["Duration", duration(result.seconds)],
    ["Latency", result.latency ? `${fixed(result.latency.median_ms, 2)} ms` : "–"],
    [
      "Predicted accuracy",
      t.predicted?.mean !== undefined ? `${percent(t.predicted.mean)} ± ${percent(t.predicted.sd)}` : "–",
    ],
  ];
  const attempts = [
    { label: "Worker", head: true, cell: (a) => a.worker },
    { label: "Started", cell: (a) => dateTime(a.started_at) },
    { label: "Ended", cell: (a) => dateTime(a.ended_at) },
    { label: "Outcome", cell: (a) => a.outcome?.replaceAll("_", " ") ?? "running" },
    { label: "Reason", cell: (a) => a.reason ?? "" },
  ];
  return [
    t.error
      ? h(
          "div",
          { class: "problem" },
          h("p", {}, t.error),
          t.log?.length
            ? h(
                "pre",
                { tabindex: "0", role: "region", "aria-label": "Last lines of the worker's log" },
                t.log.join("\n"),
              )
            : null,
        )
      : null,
    resultFacts
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, "Result"),
          facts(resultFacts),
          h("h3", {}, "Files"),
          h(
            "ul",
            { class: "files" },
            [...ARTIFACTS, ...(t.result?.worst_pairs ? NAMED_ARTIFACTS : [])].map((file) =>
              h(
                "li",
                {},
                h("a", { href: `v1/trials/${t.id}/artifacts/${file}`, download: file, onclick: download }, file),
              ),
            ),
          ),
        )
      : null,
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Network"),
      facts(networkFacts),
      h(
        "details",
        {},
        h("summary", {}, "Config and recipe"),
        h(
          "pre",
          { tabindex: "0", role: "region", "aria-label": "Config and recipe as JSON" },
          JSON.stringify({ config: t.config, recipe: t.recipe }, null, 2),
        ),
      ),
    ),
    t.attempts.length
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, "Attempts"),
          table("Attempts", attempts, t.attempts, { shown: false }),
        )
      : null,
  ];
}
