// All versions of all predictors by architecture and data set.

import { activate, deactivate } from "./activate.js";
import { getAll } from "./api.js";
import { archivedChoice } from "./archived.js";
import { h, renderOnChange } from "./dom.js";
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
  const show = renderOnChange(body, (items) => groupVersions(items).map(([title, versions]) => h("section", { class: "card" }, h("h2", {}, title), versionTable(title, versions, activateVersion, deactivateVersion))));

  async function activateVersion(predictor) {
    message.replaceChildren();
    try {
      if (!(await activate(predictor, page.signal))) return;
      message.textContent = `Version ${predictor.version} for ${predictor.architecture} on ${predictor.dataset} is active.`;
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
    polling.now();
  }

  async function deactivateVersion(predictor) {
    message.replaceChildren();
    try {
      if (!(await deactivate(predictor))) return;
      message.textContent = `Version ${predictor.version} for ${predictor.architecture} on ${predictor.dataset} is not active any more.`;
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

function groupVersions(items) {
  const versions = new Map();
  for (const item of items) {
    const title = `${item.architecture} on ${item.dataset}`;
    versions.set(title, [...(versions.get(title) ?? []), item]);
  }
  return [...versions];
}

function versionTable(title, versions, activateVersion, deactivateVersion) {
  const columns = [
    { label: "Version", head: true, cell: (p) => h("a", { href: `#/predictors/${p.id}`, "aria-label": `Version ${p.version} of ${title}` }, String(p.version)) },
    { label: "Active", cell: (p) => (p.active ? [state("active"), " ", h("button", { type: "button", "aria-label": `Deactivate version ${p.version} of ${title}`, onclick: () => deactivateVersion(p) }, "Deactivate")] : p.archived_at ? "archived" : h("button", { type: "button", "aria-label": `Activate version ${p.version} of ${title}`, onclick: () => activateVersion(p) }, "Activate")) },
    { label: "Points", number: true, cell: (p) => integer(p.observations) },
    ...QUALITY,
    { label: "Gate", cell: (p) => (p.gate ? h("span", { class: "detail" }, p.gate.reason) : "–") },
    { label: "Study", cell: (p) => (p.study_id ? h("a", { href: `#/studies/${p.study_id}` }, p.study_id.slice(0, 8)) : "–") },
    { label: "Created", cell: (p) => dateTime(p.created_at) },
  ];
  return table(`Versions for ${title}, newest first`, columns, versions, { shown: false });
}
