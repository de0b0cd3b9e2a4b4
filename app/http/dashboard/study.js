// One study: its progress and best network, and a part for each address.

import { change, get } from "./api.js";
import { confirmAction } from "./dialog.js";
import { facts, h, renderOnChange } from "./dom.js";
import { duration, integer, millions, percent, plural } from "./format.js";
import { manageButtons } from "./manage.js";
import { problemBox, state } from "./messages.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";
import { COUNT_ORDER } from "./states.js";
import { specNames, ordered } from "./spec-names.js";
import { askTell } from "./study-ask.js";
import { readObservations } from "./study-data.js";
import { family } from "./study-family.js";
import { front } from "./study-front.js";
import { observationList } from "./study-observations.js";
import { predictorPart } from "./study-predictor.js";
import { countObservations, progressOf, secondsLeft } from "./study-progress.js";
import { listing } from "./paged-list.js";
import { stateChoice } from "./state-choice.js";
import { trialList } from "./trials.js";

const ACTIONS = {
  created: [
    ["start", "Start"],
    ["cancel", "Cancel"],
  ],
  running: [
    ["pause", "Pause"],
    ["cancel", "Cancel"],
  ],
  paused: [
    ["resume", "Resume"],
    ["cancel", "Cancel"],
  ],
};

// A part: its title, and a function of the page and the study's path that builds it and returns { update(data) }.
const PARTS = {
  front: ["Front", front],
  trials: ["Trials", trialsPart],
  observations: ["Observations", observationList],
  predictor: ["Predictor", predictorPart],
  family: ["Family", family],
  ask: ["Ask and tell", askTell],
};

export async function study(page) {
  const { root, id, signal } = page;
  const path = `v1/studies/${encodeURIComponent(id)}`;
  page.title("Study");
  const head = h("div", { class: "bar" });
  const trail = h("p", { class: "trail" });
  const message = h("div", { role: "status" });
  const fill = h("div", { class: "fill" });
  const bar = h(
    "div",
    { class: "progress", role: "progressbar", "aria-label": "Trainings", "aria-valuemin": 0, "aria-valuemax": 100 },
    fill,
  );
  const summary = h("div", {});
  const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the study" });
  const content = h("div", {});
  const spec = await specNames();
  root.append(head, trail, message, bar, summary, tabs, content);

  const showHead = renderOnChange(head, (s) => [
    state(s.state),
    h(
      "span",
      {},
      `${s.architecture} on ${s.dataset}, ${s.sampler} sampler, ${s.proposed} of ${s.size} networks sampled${s.owner ? `, by ${s.owner}` : ""}`,
    ),
    (ACTIONS[s.state] ?? []).map(([action, text]) =>
      h(
        "button",
        {
          type: "button",
          class: action === "start" || action === "resume" ? "primary" : null,
          onclick: () => act(action),
        },
        text,
      ),
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
  const showTrail = renderOnChange(trail, ({ architecture, dataset }) => [
    h("a", { href: addressOf("baselines", architecture) }, `Baseline ${architecture}`),
    h("a", { href: addressOf("datasets", dataset) }, `Data set ${dataset}`),
    h("a", { href: addressOf("scale", "", "", { architecture, dataset }) }, "Answers"),
  ]);
  const showSummary = renderOnChange(summary, summaryOf);
  const showTabs = renderOnChange(tabs, ({ counts, part }) =>
    h(
      "ul",
      {},
      Object.entries(PARTS).map(([name, [title]]) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: addressOf("studies", id, name), "aria-current": part === name ? "page" : null },
            counts[name] === undefined ? title : `${title} (${integer(counts[name])})`,
          ),
        ),
      ),
    ),
  );

  async function act(action) {
    message.replaceChildren();
    if (
      action === "cancel" &&
      !(await confirmAction(
        "Cancel the study?",
        "Its unfinished trials are cancelled, except those that others requested. Completed trials are kept.",
        "Cancel the study",
      ))
    )
      return;
    try {
      await change(`${path}/${action}`);
      polling.now();
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  // A part has a signal of its own, since it may be left before the study.
  let part = "front";
  /** @type {{update(data: any): Promise<void>} | null} */
  let shownPart = null;
  let leavePart = new AbortController();
  /** @type {any} */
  let data = null;
  signal.addEventListener("abort", () => leavePart.abort());

  function showPart(name = "front", query = new URLSearchParams()) {
    leavePart.abort();
    leavePart = new AbortController();
    part = name;
    const node = h("div", {});
    content.replaceChildren(node);
    shownPart = null;
    if (!Object.hasOwn(PARTS, name))
      node.append(
        h(
          "p",
          { class: "warning" },
          `A study has no part ${name}. These are its parts: ${Object.values(PARTS)
            .map(([title]) => title)
            .join(", ")}.`,
        ),
      );
    else
      shownPart = PARTS[name][1](
        { ...page, root: node, signal: leavePart.signal, query, refresh: () => polling.now() },
        path,
        spec,
      );
    if (!data) return;
    showTabs({ counts: tabCounts(data), part });
    updatePart().catch(page.fail);
  }

  // The requests of a part are aborted when it is left; the study goes on.
  async function updatePart() {
    const left = leavePart.signal;
    try {
      await shownPart?.update(data);
    } catch (error) {
      if (!left.aborted) throw error;
    }
  }
  page.showPart = showPart;
  showPart(page.part, page.query);

  // The observations are read again only if their number or a result has changed.
  /** @type {any} */
  let observed = { key: null };
  async function load() {
    const current = await get(path, signal);
    const key = JSON.stringify([current.counts.observations, current.trials.completed, current.best]);
    if (key !== observed.key) observed = { key, ...(await readObservations(path, signal)) };
    const { left } = progressOf(current);
    const queue = current.state === "running" && left ? await get("v1/queue", signal) : null;
    page.title(current.name);
    data = {
      study: current,
      observations: observed.items,
      isComplete: observed.isComplete,
      version: key,
      workers: queue?.workers,
    };
    const {
      name,
      owner,
      description,
      archived_at,
      state: now,
      architecture,
      dataset,
      sampler,
      proposed,
      size,
    } = current;
    showHead({ name, owner, description, archived_at, state: now, architecture, dataset, sampler, proposed, size });
    showTrail({ architecture, dataset });
    showSummary({ ...data, order: ordered(spec.trialStates, COUNT_ORDER), observations: data.observations });
    showTabs({ counts: tabCounts(data), part });
    const { planned, ended } = progressOf(current);
    const share = planned ? ended / planned : 0;
    fill.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", Math.round(100 * share));
    await updatePart();
    return current;
  }
  const polling = poll(load, signal, { kinds: ["studies", "trials"] });
  await polling.running;
}

const tabCounts = ({ study: { trials, counts } }) => ({
  trials: Object.values(trials).reduce((a, b) => a + b, 0),
  observations: counts.observations,
});

function summaryOf({ study: s, observations, workers, order }) {
  const { planned, ended, left, failed } = progressOf(s);
  const seconds = secondsLeft(left, observations, workers);
  const { imported } = countObservations(observations);
  const time = !left
    ? "nothing is left to train"
    : s.state !== "running"
      ? `${plural(left, "training")}, when it runs`
      : seconds
        ? `about ${duration(seconds)}`
        : workers === 0
          ? "until a worker starts"
          : "known after the first training";
  const best = s.best && [
    `${percent(s.best.accuracy)} at ${millions(s.best.flops)}`,
    s.best.trial ? [", ", h("a", { href: addressOf("trials", s.best.trial) }, "trial")] : ", trained elsewhere",
  ];
  return [
    facts([
      [
        "Trainings ended",
        `${integer(ended)} of ${integer(planned)}${failed ? `, ${integer(failed)} without result` : ""}`,
      ],
      ["Time left", time],
      ["Best so far", best ?? "–"],
      [
        "Observations",
        `${integer(s.counts.observations)}${imported ? `, ${integer(imported)} of them imported` : ""}`,
        "count-observations",
      ],
      ...order.map((name) => [name, integer(s.trials[name] ?? 0), `count-${name}`]),
    ]),
  ];
}

function trialsPart(page, path, { trialStates }) {
  const id = path.split("/").pop();
  const card = h("section", { class: "card" });
  const states = stateChoice(page, trialStates, () => list.restart());
  page.root.append(...states.node, card);
  const list = listing(
    { ...page, root: card },
    {
      ...trialList("Trials of the study, newest first", "There are no trials. They are created when the study starts."),
      filters: () => ({ study: id, state: states.value() }),
    },
  );
  return { update: async () => {} }; // the list is refreshed by itself
}
