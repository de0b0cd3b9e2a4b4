// The observations of a study: its trials' results and imported ones. They are imported and retracted here.

import { change, send } from "./api.js";
import { numberColumn, timeColumn } from "./columns.js";
import { openDialog } from "./dialog.js";
import { field, h, options } from "./dom.js";
import { duration, fixed, integer, millions, multiplier, percent, px, shortId } from "./format.js";
import { itemList } from "./item-list.js";
import { onSubmit, problemBox, state } from "./messages.js";
import { addressOf } from "./route.js";
import { updateQuery } from "./router.js";
import { MAX_OBSERVATIONS } from "./study-data.js";
import { countObservations } from "./study-progress.js";

export function observationList(page, path) {
  const message = h("div", { role: "status" });
  const counts = h("p", { class: "lead" });
  const role = h("select", { id: "role" });
  const requested = page.query.get("role") ?? "";
  let shown = [];
  const columns = [
    {
      label: "Network",
      head: true,
      value: (o) => o.id,
      cell: (o) =>
        o.trial_id ? h("a", { href: addressOf("trials", o.trial_id) }, `trial ${shortId(o.trial_id)}`) : `no. ${o.id}`,
    },
    { label: "Role", value: (o) => o.role, cell: (o) => o.role ?? "–" },
    ...["r", "d", "w"].map((m) => numberColumn(m, (o) => o[m], multiplier)),
    { label: "Input (px)", number: true, value: (o) => [o.resolution].flat()[0], cell: (o) => px(o.resolution) },
    numberColumn("Multiply-adds", (o) => o.flops, millions),
    numberColumn(
      "Ratio",
      (o) => o.ratio,
      (v) => fixed(v, 3),
    ),
    numberColumn("Accuracy", (o) => o.accuracy, percent),
    numberColumn("Duration", (o) => o.seconds, duration),
    numberColumn(
      "Latency, ms",
      (o) => o.latency_ms,
      (v) => fixed(v, 2),
    ),
    { label: "Source", text: true, value: sourceOf, cell: (o) => sourceOf(o) || "–" },
    timeColumn("Recorded", (o) => o.created_at),
    {
      label: "Retracted",
      value: (o) => o.retraction_reason,
      cell: (o) =>
        o.retracted_at
          ? [state("retracted"), h("span", { class: "detail" }, ` ${o.retraction_reason ?? ""}`)]
          : h(
              "button",
              { type: "button", "aria-label": `Retract observation ${o.id}`, onclick: () => retract(o) },
              "Retract",
            ),
    },
  ];
  const list = itemList(page, {
    caption: "Observations, oldest first",
    columns,
    textOf: (o) =>
      [o.id, o.trial_id, o.role, sourceOf(o), o.retraction_reason, o.retracted_at ? "retracted" : ""].join(" "),
    empty: "There are no observations yet.",
  });
  const cut = h("p", { class: "hint", hidden: true }, `The first ${integer(MAX_OBSERVATIONS)} are listed.`);
  page.root.append(
    counts,
    importForm(path, message, page.refresh),
    message,
    h("div", { class: "fields bar" }, field("Role", role)),
    h("section", { class: "card" }, list.node, cut),
  );

  async function retract(o) {
    const reason = h("input", { name: "reason", required: true, maxlength: 200, autocomplete: "off" });
    const values = await openDialog(
      `Retract observation ${o.id}?`,
      [
        h("p", {}, "It is left out of the front and of fits. It stays readable, with the reason."),
        field("Reason", reason),
      ],
      "Retract it",
    );
    if (!values) return;
    try {
      await change(`${path}/observations/${o.id}/retract`, values);
      page.refresh();
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  const show = () => list.show(shown.filter((o) => !role.value || o.role === role.value));
  role.addEventListener("change", () => {
    updateQuery({ role: role.value });
    show();
  });
  return {
    async update({ observations, isComplete }) {
      shown = observations;
      const { all, imported, trained, retracted } = countObservations(observations);
      counts.textContent = `${integer(all)} observations: ${integer(trained)} of trials here, ${integer(imported)} imported or reported.${retracted ? ` ${integer(retracted)} more are retracted.` : ""}`;
      cut.hidden = isComplete;
      const roles = [...new Set([...observations.map((o) => o.role), role.value || requested])].filter(Boolean).sort();
      if (roles.length + 1 !== role.options.length)
        options(role, [["", "all"], ...roles.map((name) => [name, name])], role.value || requested);
      show();
    },
  };
}

const sourceOf = (o) => o.provenance?.source ?? o.provenance?.client ?? "";

function importForm(path, message, done) {
  const file = h("input", { id: "import-file", type: "file", accept: ".csv,.json", required: true });
  const source = h("input", {
    id: "import-source",
    maxlength: 200,
    value: "import",
    required: true,
    autocomplete: "off",
  });
  const button = h("button", { type: "submit", class: "primary" }, "Import");

  async function importChosen() {
    const added = await importFile(path, file.files[0], source.value);
    message.textContent = describeImport(added);
    form.reset();
    done();
  }

  const form = h(
    "form",
    { onsubmit: onSubmit(button, importChosen, message) },
    h(
      "div",
      { class: "fields" },
      field("Table (CSV) or JSON", file, "Columns r, d, w and accuracy, or an export of a study."),
      field("Source", source, "Where the results come from."),
    ),
    h("p", { class: "actions" }, button),
  );
  return h(
    "section",
    { class: "card" },
    h("details", { id: "import" }, h("summary", {}, "Import results of trainings elsewhere"), form),
  );
}

async function importFile(path, file, source) {
  const text = await file.text();
  const isJson = /^\s*[{[]/.test(text);
  const address = `${path}/observations${isJson ? "" : `?${new URLSearchParams({ source })}`}`;
  const headers = { "Content-Type": isJson ? "application/json" : "text/csv" };
  const response = await send(address, { method: "POST", raw: isJson ? withSource(text, source) : text, headers });
  return response.json();
}

// An export is a page of observations; the service takes { source, observations }.
function withSource(text, source) {
  const parsed = JSON.parse(text);
  const observations = Array.isArray(parsed) ? parsed : (parsed.observations ?? parsed.items);
  return JSON.stringify({ source, observations });
}

function describeImport({ imported, duplicates, skipped_rows: skipped, ignored_columns: ignored }) {
  return [
    `${integer(imported)} observations are imported.`,
    duplicates ? `${integer(duplicates)} were there already.` : "",
    skipped ? `${integer(skipped)} rows were passed over.` : "",
    ignored.length ? `Ignored columns: ${ignored.join(", ")}.` : "",
  ]
    .filter(Boolean)
    .join(" ");
}
