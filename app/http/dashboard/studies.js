// The list of studies and the form for a new one.

import { archivedChoice } from "./archived.js";
import { h } from "./dom.js";
import { linkColumn, numberColumn, textColumn, timeColumn } from "./columns.js";
import { integer } from "./format.js";
import { listing } from "./paged-list.js";
import { newStudy } from "./new-study.js";
import { addressOf } from "./route.js";
import { state } from "./messages.js";

const total = ({ trials }) => Object.values(trials).reduce((a, b) => a + b, 0);

// Returns the share of the networks that are trained, for a bar.
function progressBar(s) {
  const all = Math.max(total(s), s.size);
  const done = s.trials.completed ?? 0;
  const fill = h("span", { class: "fill" });
  fill.style.width = `${(100 * done) / all}%`;
  return [h("span", { class: "progress small", "aria-hidden": "true" }, fill), `${integer(done)} of ${integer(all)}`];
}

const COLUMNS = [
  linkColumn(
    "Study",
    (s) => s.name,
    (s) => addressOf("studies", s.id),
  ),
  { label: "State", value: (s) => s.state, cell: (s) => state(s.state) },
  textColumn("Architecture", (s) => s.architecture),
  textColumn("Data set", (s) => s.dataset),
  { label: "Sampler", value: (s) => s.sampler, cell: (s) => s.sampler },
  { label: "Trials completed", number: true, value: (s) => s.trials.completed ?? 0, cell: progressBar },
  numberColumn("Observations", (s) => s.counts.observations, integer),
  numberColumn("Open suggestions", (s) => s.counts.suggestions_open, integer),
  timeColumn("Created", (s) => s.created_at),
];

export function studies(page) {
  page.title("Studies");
  const card = h("section", { class: "card" });
  const choice = archivedChoice(page, () => list.restart());
  page.root.append(newStudy(page), choice.node, card);
  const list = listing(
    { ...page, root: card },
    {
      path: "v1/studies",
      kinds: ["studies", "trials"],
      filters: () => ({ archived: choice.value() }),
      caption: "Studies, newest first",
      columns: COLUMNS,
      textOf: (s) =>
        [s.id, s.name, s.description, s.architecture, s.dataset, s.sampler, s.state, s.owner].filter(Boolean).join(" "),
      empty: "There are no such studies yet.",
    },
  );
}
