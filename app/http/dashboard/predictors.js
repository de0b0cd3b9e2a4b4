// All versions of all predictors by architecture and data set.

import { activate, deactivate } from "./activate.js";
import { getAll } from "./api.js";
import { archivedChoice } from "./archived.js";
import { groupBy, h, renderOnChange } from "./dom.js";
import { fixed, percent, dateTime, integer } from "./format.js";
import { poll } from "./poll.js";
import { table } from "./table.js";
import { problemBox, state } from "./messages.js";

export const QUALITY = [
  { label: "Error of r", number: true, cell: (p) => fixed(p.quality.r?.rmse, 3) },
  { label: "Error of d", number: true, cell: (p) => fixed(p.quality.d?.rmse, 3) },
  { label: "r in the 90 % band", number: true, cell: (p) => percent(p.quality.r?.coverage_90, 0) },
  { label: "d in the 90 % band", number: true, cell: (p) => percent(p.quality.d?.coverage_90, 0) },
];

export async function predictors(page) {
  page.title("Predictors");
  const message = h("div", { role: "status" });
  const body = h("div", {});
  const choice = archivedChoice(() => polling.now());
  page.root.append(
    h("p", { class: "lead" }, "A predictor is a pair of Gaussian processes, r(c) and d(c). One version per architecture and data set is active. Errors and coverage are leave-one-out."),
    choice.node,
    message,
    body,
  );
  const show = renderOnChange(body, (items) => [...groupBy(items, (item) => `${item.architecture} on ${item.dataset}`)].map(([title, versions]) => h("section", { class: "card" }, h("h2", {}, title), versionTable(title, versions, toggle))));

  async function toggle(predictor) {
    message.replaceChildren();
    try {
      if (!(await (predictor.active ? deactivate(predictor) : activate(predictor, page.signal)))) return;
      message.textContent = `Version ${predictor.version} for ${predictor.architecture} on ${predictor.dataset} is ${predictor.active ? "not active any more" : "active"}.`;
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
    polling.now();
  }

  const polling = poll(async () => {
    const items = await getAll("v1/predictors", page.signal, { archived: choice.value() });
    show(items);
    return items;
  }, page.signal);
  await polling.running;
}

function versionTable(title, versions, toggle) {
  const button = (p, action) => h("button", { type: "button", "aria-label": `${action} version ${p.version} of ${title}`, onclick: () => toggle(p) }, action);
  const columns = [
    { label: "Version", head: true, cell: (p) => h("a", { href: `#/predictors/${p.id}`, "aria-label": `Version ${p.version} of ${title}` }, String(p.version)) },
    { label: "Active", cell: (p) => (p.active ? [state("active"), " ", button(p, "Deactivate")] : p.archived_at ? "archived" : button(p, "Activate")) },
    { label: "Points", number: true, cell: (p) => integer(p.observations) },
    ...QUALITY,
    { label: "Gate", cell: (p) => (p.gate ? h("span", { class: "detail" }, p.gate.reason) : "–") },
    { label: "Study", cell: (p) => (p.study_id ? h("a", { href: `#/studies/${p.study_id}` }, p.study_id.slice(0, 8)) : "–") },
    { label: "Created", cell: (p) => dateTime(p.created_at) },
  ];
  return table(`Versions for ${title}, newest first`, columns, versions, { shown: false });
}
