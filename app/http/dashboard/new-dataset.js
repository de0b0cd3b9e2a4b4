// The form to register a folder of images. A check says what would be understood of it.

import { change, compute } from "./api.js";
import { contentFacts, partsTable, skippedList } from "./dataset.js";
import { facts, field, h, options, setError } from "./dom.js";
import { problemBox, warning, whileDisabled } from "./messages.js";
import { addressOf } from "./route.js";

const LAYOUTS = [
  ["", "found by itself"],
  ["classes", "a folder for each class"],
  ["splits", "folders of parts with a folder for each class"],
  ["manifest", "a table of paths and labels"],
  ["shards", "tar files (WebDataset)"],
];

const CHANNELS = [
  ["", "found by itself"],
  ["1", "1, grey"],
  ["3", "3, RGB"],
  ["4", "4, RGB and opacity"],
];

export function newDataset(page) {
  const name = h("input", {
    id: "dataset-name",
    required: true,
    maxlength: 100,
    pattern: "[a-z0-9][a-z0-9_.\\-]*",
    autocomplete: "off",
  });
  const folder = h("input", { id: "dataset-folder", required: true, maxlength: 500, autocomplete: "off" });
  const side = h("input", {
    id: "dataset-px",
    required: true,
    value: "64",
    pattern: "\\d+(\\s*[x×]\\s*\\d+)?",
    autocomplete: "off",
  });
  const layout = options(h("select", { id: "dataset-layout" }), LAYOUTS, "");
  const channels = options(h("select", { id: "dataset-channels" }), CHANNELS, "");
  const background = h("input", { id: "dataset-background", type: "color", value: "#ffffff" });
  const controls = { name, folder, native_px: side, layout, channels, background };
  const check = h(
    "button",
    { type: "button", onclick: () => form.reportValidity() && understand() },
    "Check the folder",
  );
  const register = h("button", { type: "submit", class: "primary" }, "Register");
  const result = h("div", { role: "status" });
  const form = h(
    "form",
    {},
    h(
      "div",
      { class: "fields" },
      field("Name", name, "Lower case letters, digits, dot, hyphen and underscore."),
      field("Folder", folder, "Its path in the folder datasets of the data directory."),
      field("Stored size, px", side, "A side, or height and width, such as 32 x 64."),
      field("Layout", layout),
      field("Channels", channels),
      field("Background of transparent images", background),
    ),
    h("p", { class: "actions" }, register, check),
    result,
  );

  const body = () => {
    const sides = side.value.split(/[x×]/).map(Number);
    return {
      name: name.value,
      folder: folder.value,
      native_px: sides.length > 1 ? sides : sides[0],
      layout: layout.value || null,
      channels: channels.value ? Number(channels.value) : null,
      background: background.value,
    };
  };

  // Says what is wrong at the field that it is about, or below the form.
  function fail(error) {
    const errors = error.document?.errors ?? [];
    for (const [key, control] of Object.entries(controls))
      setError(control, errors.find((e) => e.pointer?.startsWith(`/${key}`))?.message);
    if (error.kind === "unknown-dataset") setError(folder, error.message);
    result.replaceChildren(problemBox(error));
  }

  function run(button, act) {
    result.textContent = "Reading the folder …";
    for (const control of Object.values(controls)) setError(control, null);
    return whileDisabled(button, act, fail);
  }

  const understand = () =>
    run(check, async () => {
      const found = await compute("v1/datasets", { ...body(), validate_only: true }, page.signal);
      result.replaceChildren(h("h3", {}, "What was understood"), ...understood(found));
    });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(register, async () => {
      const created = await change("v1/datasets", body());
      location.hash = addressOf("datasets", created.name);
    });
  });
  return h(
    "section",
    { class: "card" },
    h("details", { id: "new-dataset" }, h("summary", {}, "Register a data set"), form),
  );
}

function understood(d) {
  return [
    facts(contentFacts(d)),
    ...d.warnings.map(warning),
    partsTable(d.splits),
    skippedList(d.skipped),
  ].filter(Boolean);
}
