// The list of trials, newest first.

import { archivedChoice } from "./archived.js";
import { linkColumn, numberColumn, textColumn, timeColumn } from "./columns.js";
import { h } from "./dom.js";
import { millions, multiplier, percent, shortId } from "./format.js";
import { state } from "./messages.js";
import { listing } from "./paged-list.js";
import { addressOf } from "./route.js";
import { specNames } from "./spec-names.js";
import { stateChoice } from "./state-choice.js";

const MAX_COMPARED = 6;

export const trialName = (t) => (t.name ? `${shortId(t.id)} ${t.name}` : shortId(t.id));

const stateOf = (t) => (t.awaiting_promotion ? "awaiting promotion" : t.state);

const COLUMNS = [
  linkColumn("Trial", trialName, (t) => addressOf("trials", t.id)),
  { label: "State", value: stateOf, cell: (t) => state(stateOf(t)) },
  textColumn("Architecture", (t) => t.architecture),
  textColumn("Data set", (t) => t.dataset),
  ...["r", "d", "w"].map((m) => numberColumn(m, (t) => t.multipliers?.[m], multiplier)),
  numberColumn("Multiply-adds", (t) => t.flops, millions),
  {
    label: "Epoch",
    number: true,
    value: (t) => t.progress?.epoch,
    cell: (t) => (t.progress?.epochs ? `${t.progress.epoch} of ${t.progress.epochs}` : "–"),
  },
  numberColumn("Accuracy", (t) => t.result?.accuracy ?? t.progress?.validation_accuracy, percent),
  timeColumn("Created", (t) => t.created_at),
];

const SORTS = {
  accuracy: "accuracy",
  architecture: "architecture",
  created: "created_at",
  "multiply-adds": "flops",
  state: "state",
};

// The options of a list of trials, from which the reader can choose some to compare.
export const trialList = (caption, empty) => ({
  path: "v1/trials",
  kinds: ["trials"],
  sorts: SORTS,
  caption,
  columns: COLUMNS,
  textOf: (t) =>
    [t.id, t.name, t.description, t.architecture, t.dataset, stateOf(t), t.owner].filter(Boolean).join(" "),
  empty,
  choose: {
    action: "Compare",
    idOf: (t) => t.id,
    nameOf: trialName,
    min: 2,
    max: MAX_COMPARED,
    act: (ids) => (location.hash = `#/compare?trials=${ids.join(",")}`),
  },
});

export async function trials(page) {
  page.title("Trials");
  const { trialStates } = await specNames();
  const states = stateChoice(page, trialStates, () => list.restart());
  const choice = archivedChoice(page, () => list.restart());
  const card = h("section", { class: "card" });
  page.root.append(...states.node, choice.node, card);
  const list = listing(
    { ...page, root: card },
    {
      ...trialList("Trials, newest first", "There are no trials. Train a network in the Scale view."),
      filters: () => ({ state: states.value(), archived: choice.value() }),
    },
  );
}
