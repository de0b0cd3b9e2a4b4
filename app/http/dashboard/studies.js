// All studies, and the way to a new one.

import { h } from "./dom.js";
import { when, whole } from "./format.js";
import { listing } from "./listing.js";
import { newStudy } from "./newstudy.js";
import { table } from "./table.js";
import { state } from "./words.js";

const finished = ({ trials }) => trials.completed ?? 0;
const total = ({ trials }) => Object.values(trials).reduce((a, b) => a + b, 0);

const COLUMNS = [
  { label: "Study", head: true, cell: (s) => h("a", { href: `#/studies/${s.id}` }, s.name) },
  { label: "State", cell: (s) => state(s.state) },
  { label: "Architecture", cell: (s) => s.architecture },
  { label: "Data set", cell: (s) => s.dataset },
  { label: "Sampler", cell: (s) => s.sampler },
  { label: "Trials completed", number: true, cell: (s) => (total(s) ? `${whole(finished(s))} of ${whole(total(s))}` : "–") },
  { label: "Created", cell: (s) => when(s.created_at) },
];

export function studies(page) {
  page.title("Studies");
  const card = h("section", { class: "card" });
  page.root.append(newStudy(page), card);
  listing({ ...page, root: card }, {
    path: "v1/studies",
    render: (rows) => table("Studies, newest first", COLUMNS, rows),
    empty: "There are none yet.",
  });
}
