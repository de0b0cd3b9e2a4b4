// The list of trials, newest first.

import { archivedChoice } from "./archived.js";
import { field, h, options } from "./dom.js";
import { dateTime, millions, multiplier, percent, shortId } from "./format.js";
import { listing } from "./paged-list.js";
import { specNames } from "./spec-names.js";
import { updateAddress } from "./router.js";
import { table } from "./table.js";
import { state } from "./messages.js";

export function trialsTable(caption) {
  const columns = [
    { label: "Trial", head: true, cell: (t) => h("a", { href: `#/trials/${t.id}` }, t.name ? `${shortId(t.id)} ${t.name}` : shortId(t.id)) },
    { label: "State", cell: (t) => state(t.awaiting_promotion ? "awaiting promotion" : t.state) },
    { label: "Architecture", cell: (t) => t.architecture },
    { label: "Data set", cell: (t) => t.dataset },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (t) => multiplier(t.multipliers?.[m]) })),
    { label: "Multiply-adds", number: true, cell: (t) => millions(t.flops) },
    { label: "Epoch", number: true, cell: (t) => (t.progress ? `${t.progress.epoch} of ${t.progress.epochs}` : "–") },
    { label: "Accuracy", number: true, cell: (t) => percent(t.result?.accuracy ?? t.progress?.validation_accuracy) },
    { label: "Created", cell: (t) => dateTime(t.created_at) },
  ];
  return (rows) => table(caption, columns, rows);
}

export async function trials(page) {
  page.title("Trials");
  const { trialStates } = await specNames();
  const requested = page.query.get("state");
  const filter = options(
    h("select", { id: "state" }),
    [["", "all"], ...trialStates.map((name) => [name, name])],
    trialStates.includes(requested) ? requested : "",
  );
  const choice = archivedChoice(() => list.restart());
  page.root.append(h("div", { class: "fields bar" }, field("State", filter)), choice.node);
  const card = h("section", { class: "card" });
  page.root.append(card);
  const list = listing({ ...page, root: card }, {
    path: "v1/trials",
    filters: () => ({ state: filter.value, archived: choice.value() }),
    render: trialsTable("Trials, newest first"),
    empty: "There are no trials. Train a network in the Scale view.",
  });
  filter.addEventListener("change", () => {
    updateAddress("trials", { state: filter.value });
    list.restart();
  });
}
