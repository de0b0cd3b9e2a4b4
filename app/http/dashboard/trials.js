// All trials, newest first, as they come and go.

import { field, h, options } from "./dom.js";
import { brief, fixed, millions, percent, when } from "./format.js";
import { listing } from "./listing.js";
import { remember } from "./router.js";
import { table } from "./table.js";
import { state } from "./words.js";

const STATES = ["queued", "running", "completed", "failed", "cancelled"];

export function trialsTable(caption) {
  const columns = [
    { label: "Trial", head: true, cell: (t) => h("a", { href: `#/trials/${t.id}` }, brief(t.id)) },
    { label: "State", cell: (t) => state(t.held ? "held" : t.state) },
    { label: "Architecture", cell: (t) => t.architecture },
    { label: "Data set", cell: (t) => t.dataset },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (t) => fixed(t.multipliers?.[m], 3) })),
    { label: "Multiply-adds", number: true, cell: (t) => millions(t.flops) },
    { label: "Epoch", number: true, cell: (t) => (t.progress ? `${t.progress.epoch} of ${t.progress.epochs}` : "–") },
    { label: "Accuracy", number: true, cell: (t) => percent(t.result?.accuracy ?? t.progress?.validation_accuracy) },
    { label: "Since", cell: (t) => when(t.created_at) },
  ];
  return (rows) => table(caption, columns, rows);
}

export function trials(page) {
  page.title("Trials");
  const given = page.query.get("state");
  const filter = options(
    h("select", { id: "state" }),
    [["", "all"], ...STATES.map((name) => [name, name])],
    STATES.includes(given) ? given : "",
  );
  page.root.append(h("div", { class: "fields bar" }, field("State", filter)));
  const card = h("section", { class: "card" });
  page.root.append(card);
  const list = listing({ ...page, root: card }, {
    path: "v1/trials",
    filters: () => ({ state: filter.value }),
    render: trialsTable("Trials, newest first"),
    empty: "There are none. A network found under Scale can be trained.",
  });
  filter.addEventListener("change", () => {
    remember("trials", { state: filter.value });
    list.again();
  });
}
