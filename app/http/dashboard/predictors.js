// Predictors by architecture and data set: every version, which is in use, how good it is, and the way back.

import { activate } from "./activate.js";
import { all } from "./api.js";
import { h, live } from "./dom.js";
import { fixed, percent, when, whole } from "./format.js";
import { poll } from "./poll.js";
import { table } from "./table.js";
import { problemBox, state } from "./words.js";

export const QUALITY = [
  { label: "Error of r", number: true, cell: (p) => fixed(p.quality.r?.rmse, 3) },
  { label: "Error of d", number: true, cell: (p) => fixed(p.quality.d?.rmse, 3) },
  { label: "r in the 90 % band", number: true, cell: (p) => percent(p.quality.r?.coverage_90, 0) },
  { label: "d in the 90 % band", number: true, cell: (p) => percent(p.quality.d?.coverage_90, 0) },
];

export async function predictors(page) {
  page.title("Predictors");
  const said = h("div", { role: "status" });
  const body = h("div", {});
  page.root.append(
    h("p", { class: "lead" }, "Each is a pair of Gaussian processes, r(c) and d(c). One version for each architecture and data set is in use. Errors and shares are leave-one-out."),
    said,
    body,
  );
  const show = live(body, (items) => groups(items).map(([title, versions]) => h("section", { class: "card" }, h("h2", {}, title), versionTable(title, versions, use))));

  async function use(predictor) {
    said.replaceChildren();
    try {
      if (!(await activate(predictor, page.signal))) return;
      said.textContent = `Version ${predictor.version} for ${predictor.architecture} on ${predictor.dataset} is in use.`;
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
    polling.now();
  }

  const polling = poll(async () => {
    const items = await all("v1/predictors", page.signal);
    show(items);
    return items;
  }, page.signal);
  await polling.running;
}

function groups(items) {
  const found = new Map();
  for (const item of items) {
    const title = `${item.architecture} on ${item.dataset}`;
    found.set(title, [...(found.get(title) ?? []), item]);
  }
  return [...found];
}

function versionTable(title, versions, use) {
  const columns = [
    { label: "Version", head: true, cell: (p) => h("a", { href: `#/predictors/${p.id}`, "aria-label": `Version ${p.version} of ${title}` }, String(p.version)) },
    { label: "In use", cell: (p) => (p.active ? state("active") : h("button", { type: "button", "aria-label": `Use version ${p.version} of ${title}`, onclick: () => use(p) }, "Use this")) },
    { label: "Points", number: true, cell: (p) => whole(p.observations) },
    ...QUALITY,
    { label: "The gate", cell: (p) => (p.gate ? h("span", { class: "why" }, p.gate.why) : "–") },
    { label: "Study", cell: (p) => (p.study_id ? h("a", { href: `#/studies/${p.study_id}` }, p.study_id.slice(0, 8)) : "–") },
    { label: "Created", cell: (p) => when(p.created_at) },
  ];
  return table(`Versions for ${title}, newest first`, columns, versions, { shown: false });
}
