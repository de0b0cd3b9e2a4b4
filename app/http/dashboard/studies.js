// The list of studies and the form for a new one.

import { archivedChoice } from "./archived.js";
import { h } from "./dom.js";
import { dateTime, integer } from "./format.js";
import { listing } from "./paged-list.js";
import { newStudy } from "./new-study.js";
import { table } from "./table.js";
import { state } from "./messages.js";

const finished = ({ trials }) => trials.completed ?? 0;
const total = ({ trials }) => Object.values(trials).reduce((a, b) => a + b, 0);

const COLUMNS = [
  { label: "Study", head: true, cell: (s) => h("a", { href: `#/studies/${s.id}` }, s.name) },
  { label: "State", cell: (s) => state(s.state) },
  { label: "Architecture", cell: (s) => s.architecture },
  { label: "Data set", cell: (s) => s.dataset },
  { label: "Sampler", cell: (s) => s.sampler },
  { label: "Trials completed", number: true, cell: (s) => (total(s) ? `${integer(finished(s))} of ${integer(total(s))}` : "–") },
  { label: "Created", cell: (s) => dateTime(s.created_at) },
];

export function studies(page) {
  page.title("Studies");
  const card = h("section", { class: "card" });
  const choice = archivedChoice(() => list.restart());
  page.root.append(newStudy(page), choice.node, card);
  const list = listing({ ...page, root: card }, {
    path: "v1/studies",
    filters: () => ({ archived: choice.value() }),
    render: (rows) => table("Studies, newest first", COLUMNS, rows),
    empty: "There are no such studies yet.",
  });
}
