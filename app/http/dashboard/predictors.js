// All versions of all predictors, by architecture and data set.

import { activate, deactivate } from "./activate.js";
import { archivedChoice } from "./archived.js";
import { numberColumn, textColumn, timeColumn } from "./columns.js";
import { h } from "./dom.js";
import { fixed, integer, percent, shortId } from "./format.js";
import { standing, standingBadges } from "./gate.js";
import { problemBox } from "./messages.js";
import { listing } from "./paged-list.js";
import { addressOf } from "./route.js";

const MAX_COMPARED = 6;

export const QUALITY = [
  numberColumn(
    "Error of r",
    (p) => p.quality.r?.rmse,
    (v) => fixed(v, 3),
  ),
  numberColumn(
    "Error of d",
    (p) => p.quality.d?.rmse,
    (v) => fixed(v, 3),
  ),
  numberColumn(
    "r in the 90 % band",
    (p) => p.quality.r?.coverage_90,
    (v) => percent(v, 0),
  ),
  numberColumn(
    "d in the 90 % band",
    (p) => p.quality.d?.coverage_90,
    (v) => percent(v, 0),
  ),
];

export const versionName = (p) => `${p.name ?? p.architecture} on ${p.dataset}, version ${p.version}`;

// The name of a version without the one that it was given, which may be long.
export const plainVersionName = (p) => versionName({ ...p, name: null });

// The options of a list of versions, which the reader activates, deactivates and chooses for a comparison.
export function versionList(caption, empty, toggle) {
  const button = (p) => {
    const action = p.active ? "Deactivate" : "Activate";
    const label = `${action} version ${p.version} of ${p.architecture} on ${p.dataset}`;
    return h("button", { type: "button", "aria-label": label, onclick: () => toggle(p) }, action);
  };
  return {
    path: "v1/predictors",
    kinds: ["predictors"],
    caption,
    columns: [
      {
        label: "Version",
        head: true,
        value: versionName,
        cell: (p) => h("a", { href: addressOf("predictors", p.id) }, versionName(p)),
      },
      { label: "State", value: standing, cell: (p) => standingBadges(p) },
      { label: "Action", cell: (p) => (p.archived_at ? "–" : button(p)) },
      numberColumn("Points", (p) => p.observations, integer),
      ...QUALITY,
      textColumn(
        "Gate",
        (p) => p.gate?.reason,
        (p) => (p.gate ? h("span", { class: "detail" }, p.gate.reason) : "not asked"),
      ),
      textColumn(
        "Study",
        (p) => p.study_id,
        (p) =>
          p.study_id ? h("a", { href: addressOf("studies", p.study_id, "predictor") }, shortId(p.study_id)) : "–",
      ),
      timeColumn("Created", (p) => p.created_at),
    ],
    textOf: (p) =>
      [versionName(p), p.architecture, p.id, standing(p), p.study_id, p.description].filter(Boolean).join(" "),
    empty,
    choose: {
      action: "Compare",
      idOf: (p) => p.id,
      nameOf: versionName,
      min: 2,
      max: MAX_COMPARED,
      act: (ids) => (location.hash = `#/compare?predictors=${ids.map(encodeURIComponent).join(",")}`),
    },
  };
}

// Returns a function that activates or deactivates a version and says so in the element `message`.
export const toggleIn = (message, signal, changed) => async (predictor) => {
  message.replaceChildren();
  try {
    if (!(await (predictor.active ? deactivate(predictor) : activate(predictor, signal)))) return;
    message.textContent = `Version ${predictor.version} for ${predictor.architecture} on ${predictor.dataset} is ${predictor.active ? "not active any more" : "active"}.`;
  } catch (error) {
    message.replaceChildren(problemBox(error));
  }
  changed();
};

export function predictors(page) {
  page.title("Predictors");
  const message = h("div", { role: "status" });
  const card = h("section", { class: "card" });
  const choice = archivedChoice(page, () => list.restart());
  page.root.append(
    h(
      "p",
      { class: "lead" },
      "A predictor is a pair of Gaussian processes, r(c) and d(c). One version per architecture and data set is active. Errors and coverage are leave-one-out. A version that the promotion gate refused is not activated by itself.",
    ),
    choice.node,
    message,
    card,
  );
  const toggle = toggleIn(message, page.signal, () => list.refresh());
  const list = listing(
    { ...page, root: card },
    {
      ...versionList("Versions, newest first", "There are no such predictors.", toggle),
      filters: () => ({ archived: choice.value() }),
    },
  );
}
