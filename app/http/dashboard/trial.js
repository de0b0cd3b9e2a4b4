// One trial, as it happens.

import { blob, change, get } from "./api.js";
import { h, live } from "./dom.js";
import { ENDED, events } from "./events.js";
import { brief, duration, fixed, millions, percent, when, whole } from "./format.js";
import { currentKey } from "./key.js";
import { learningCurve } from "./learning.js";
import { table } from "./table.js";
import { problemBox, state } from "./words.js";

const ARTIFACTS = ["weights.safetensors", "model.onnx", "log.csv"];
const RETRIED = ["failed", "cancelled"];

export async function trial(page) {
  const { root, id, signal } = page;
  const path = `v1/trials/${id}`;
  page.title(`Trial ${brief(id)}`);
  const head = h("div", { class: "bar" });
  const bar = h("div", { class: "fill" });
  const progress = h("div", { class: "progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  const now = h("p", { id: "now", class: "now" });
  const told = h("p", { class: "unseen", role: "status", id: "told" });
  const said = h("div", {});
  const learned = learningCurve();
  const body = h("div", {});
  root.append(
    head,
    said,
    h("section", { class: "card", "aria-label": "Progress" }, progress, now, learned.node),
    body,
    told,
  );
  let one = null;
  let following = null;
  const byEpoch = new Map();

  const showHead = live(head, (t) => [
    state(t.held ? "held" : t.state),
    h("span", {}, `${t.architecture} on ${t.dataset}`),
    t.state === "queued" || t.state === "running"
      ? h("button", { type: "button", disabled: t.cancel_requested, onclick: () => act("cancel") }, t.cancel_requested ? "Cancelling …" : "Cancel")
      : null,
    RETRIED.includes(t.state) ? h("button", { type: "button", class: "primary", onclick: () => act("retry") }, "Retry") : null,
  ]);
  const showBody = live(body, (t) => detail(t, download));

  async function download(event) {
    if (!currentKey()) return;
    event.preventDefault();
    const link = event.currentTarget;
    try {
      const url = URL.createObjectURL(await blob(link.href, signal));
      h("a", { href: url, download: link.getAttribute("download") }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
  }

  async function act(what) {
    said.replaceChildren();
    try {
      await change(`${path}/${what}`);
      if (what === "retry") byEpoch.clear();
      await read();
      follow().catch(page.fail);
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
  }

  async function read() {
    one = await get(path, signal);
    for (const epoch of one.result?.history ?? []) byEpoch.set(epoch.epoch, epoch);
    showHead({ state: one.state, held: one.held, architecture: one.architecture, dataset: one.dataset, cancel_requested: one.cancel_requested });
    showBody(one);
    if (ENDED.includes(one.state)) showProgress(one.progress); // else the events tell it, from the start
  }

  function showProgress(at) {
    const { epochs } = one.recipe;
    const ended = one.state === "completed";
    const within = at?.steps && !(at.validation_accuracy >= 0 && at.validation_accuracy !== null) ? at.step / at.steps : 0;
    const share = ended ? 1 : at ? Math.min(1, (at.epoch + within) / epochs) : 0;
    bar.style.width = `${100 * share}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * share));
    now.textContent = ended
      ? `${epochs} of ${epochs} epochs.`
      : at
        ? `Epoch ${Math.min(epochs, Math.floor(at.epoch + within) + (share < 1 ? 1 : 0))} of ${epochs}, loss ${fixed(at.train_loss, 3)}, ${whole(Math.round(at.images_per_second ?? 0))} images a second` +
          (one.state === "running" && at.seconds_left ? `, ${duration(at.seconds_left)} left.` : ".")
        : one.state === "queued" ? "It waits for a worker." : `Nothing was trained: ${one.state}.`;
    learned.show([...byEpoch.values()].sort((a, b) => a.epoch - b.epoch), epochs);
  }

  async function follow() {
    following?.abort();
    const own = (following = new AbortController());
    signal.addEventListener("abort", () => own.abort());
    for await (const event of events(id, own.signal)) {
      if (event.kind === "progress") {
        const { epoch, validation_accuracy: accuracy } = event.data;
        if (accuracy !== null && accuracy !== undefined) {
          if (!byEpoch.get(epoch)?.train_accuracy) byEpoch.set(epoch, { epoch, validation_accuracy: accuracy });
          told.textContent = `Epoch ${epoch} of ${event.data.epochs}: accuracy ${percent(accuracy)}.`;
        }
        showProgress(event.data);
      } else {
        told.textContent = `The trial is ${event.data.state}.`;
        await read();
      }
    }
    await read();
  }

  await read();
  showProgress(null);
  await follow();
}

function detail(t, download) {
  const result = t.result;
  const facts = [
    ["Multiply-adds", millions(t.flops)],
    ["Parameters", millions(t.params)],
    ["Pixels", String(t.config.resolution)],
    ["r, d, w", t.multipliers ? ["r", "d", "w"].map((m) => fixed(t.multipliers[m], 3)).join(", ") : "–"],
    ["Seed", String(t.seed)],
    ["Requested", when(t.created_at)],
    ["Finished", when(t.finished_at)],
  ];
  const found = result && [
    [`Validation (${result.metric})`, percent(result.accuracy), "fact-accuracy"],
    ["Test", percent(result.test_accuracy)],
    ["Took", duration(result.seconds)],
    ["Latency", result.latency ? `${fixed(result.latency.median_ms, 2)} ms` : "–"],
    ["Predicted before", t.predicted?.mean !== undefined ? `${percent(t.predicted.mean)} ± ${percent(t.predicted.sd)}` : "–"],
  ];
  const list = (pairs) => h("dl", { class: "facts" }, pairs.map(([n, v, id]) => h("div", {}, h("dt", {}, n), h("dd", { id }, v))));
  const attempts = [
    { label: "Worker", head: true, cell: (a) => a.worker },
    { label: "Began", cell: (a) => when(a.started_at) },
    { label: "Ended", cell: (a) => when(a.ended_at) },
    { label: "How", cell: (a) => a.outcome ?? "under way" },
    { label: "Why", cell: (a) => a.reason ?? "" },
  ];
  return [
    t.error ? h("div", { class: "problem" }, h("p", {}, t.error), t.log?.length ? h("pre", { tabindex: "0", "aria-label": "The last lines of the worker's log" }, t.log.join("\n")) : null) : null,
    found
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, "Result"),
          list(found),
          h("h3", {}, "Files"),
          h("ul", { class: "files" }, ARTIFACTS.map((file) => h("li", {}, h("a", { href: `v1/trials/${t.id}/artifacts/${file}`, download: file, onclick: download }, file)))),
        )
      : null,
    h("section", { class: "card" }, h("h2", {}, "Network"), list(facts), h("details", {}, h("summary", {}, "The config and recipe"), h("pre", { tabindex: "0", "aria-label": "Config and recipe as JSON" }, JSON.stringify({ config: t.config, recipe: t.recipe }, null, 2)))),
    t.attempts.length ? h("section", { class: "card" }, h("h2", {}, "Attempts"), table("Attempts of workers", attempts, t.attempts, { shown: false })) : null,
  ];
}
