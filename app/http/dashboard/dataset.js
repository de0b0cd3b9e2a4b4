// One data set: the state of its check, what was understood of its folder, and sample images.

import { get, getBlob, isAbort } from "./api.js";
import { numberColumn } from "./columns.js";
import { facts, h, renderOnChange } from "./dom.js";
import { integer, px } from "./format.js";
import { itemList } from "./item-list.js";
import { state, warning } from "./messages.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";
import { table } from "./table.js";

const MAX_NAMED = 10; // classes in the text of the image

export function checkState(d) {
  const { images, total } = d.progress ?? {};
  const detail =
    d.error ??
    (total ? `${integer(images)} of ${integer(total)} images` : d.progress ? "the images are being listed" : null);
  return [state(d.state), detail ? h("span", { class: "detail" }, ` ${detail}`) : null];
}

const CLASSES = {
  caption: "Classes and their images",
  columns: [
    { label: "Class", head: true, value: (c) => c.name, cell: (c) => c.name },
    numberColumn("Output", (c) => c.output, integer),
    numberColumn("Training", (c) => c.train, integer),
    numberColumn("Validation", (c) => c.validation, integer),
    numberColumn("Test", (c) => c.test, integer),
  ],
  textOf: (c) => c.name,
  empty: "The classes are not known yet.",
  prefix: "class-",
};

export async function dataset(page) {
  const { id: name, root, signal } = page;
  const path = `v1/datasets/${encodeURIComponent(name)}`;
  page.title(name);
  const description = h("p", { class: "lead" });
  const trail = h("p", { class: "trail" });
  const summary = h("div", {});
  const samples = h("section", { class: "card" }, h("h2", {}, "Sample images"));
  const body = h("div", {});
  const classes = itemList(page, CLASSES);
  root.append(
    description,
    trail,
    summary,
    samples,
    body,
    h("section", { class: "card" }, h("h2", {}, "Classes"), classes.node),
  );

  const showFacts = renderOnChange(summary, (d) =>
    facts([["State", checkState(d)], ["Task", d.task], ...contentFacts(d)]),
  );
  const showBody = renderOnChange(body, (d) => [
    d.missing ? warning(d.missing) : null,
    d.warnings.map(warning),
    d.splits.length || d.skipped.length
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, "What was understood"),
          partsTable(d.splits),
          skippedList(d.skipped),
        )
      : null,
  ]);
  const showTrail = renderOnChange(trail, (d) => [
    h("a", { href: addressOf("scale", "", "", { dataset: d.name }) }, "Answers for its classes"),
    h("a", { href: addressOf("trials", "", "", { q: d.name }) }, "Trials on it"),
    h("a", { href: addressOf("studies", "", "", { q: d.name }) }, "Studies on it"),
  ]);
  const showSamples = sampleImages(samples, path, signal);
  await poll(async () => {
    const found = await get(path, signal);
    page.title(found.name);
    description.textContent = found.description;
    showTrail({ name: found.name });
    showFacts(found);
    showBody(found);
    classes.show(found.classes.map((c, output) => ({ ...c, output })));
    await showSamples(found);
    return found;
  }, signal).running;
}

export const contentFacts = (d) => [
  ["Classes", integer(d.num_classes)],
  ["Training images", integer(d.train_images)],
  ["Test images", integer(d.test_images)],
  ["Channels", integer(d.channels)],
  ["Stored size", `${px(d.native_px)} px`],
  ["Layout", d.layout ?? "–"],
];

export const partsTable = (splits) => (splits.length ? table("Parts", PARTS, splits) : null);

export const skippedList = (skipped) =>
  skipped.length
    ? [
        h("h3", {}, "Passed over"),
        h(
          "ul",
          {},
          skipped.map((s) => h("li", {}, `${integer(s.files)} ${s.reason}, such as ${s.examples[0]}`)),
        ),
      ]
    : null;

const PARTS = [
  { label: "Part", head: true, cell: (s) => s.part },
  { label: "Images", number: true, cell: (s) => integer(s.images) },
  { label: "Read from", cell: (s) => (s.source === "." ? "the folder itself" : s.source) },
];

// Returns a function that draws the samples again if the images have changed.
function sampleImages(container, path, signal) {
  const image = h("img", { id: "samples", hidden: true });
  const reason = h("p", { class: "hint", role: "status" }, "Drawing …");
  container.append(h("figure", { class: "drawing" }, image, reason));
  /** @type {string | null} */
  let shown = null;
  /** @type {string | null} */
  let url = null;
  signal.addEventListener("abort", () => url && URL.revokeObjectURL(url));
  return async (d) => {
    const key = `${d.state} ${d.digest} ${d.missing}`;
    if (key === shown) return;
    try {
      const picture = await getBlob(`${path}/samples.png`, signal);
      if (url) URL.revokeObjectURL(url);
      image.src = url = URL.createObjectURL(picture);
      image.alt = describe(d);
      image.hidden = false;
      reason.textContent = "Training images with their labels, as they enter a network.";
    } catch (error) {
      if (isAbort(error) || !error.status) throw error;
      image.hidden = true;
      reason.textContent = error.message;
    }
    shown = key;
  };
}

function describe(d) {
  const labels = [...new Set(d.samples.length ? d.samples.map((s) => s.label) : d.classes.map((c) => c.name))];
  const named = labels.slice(0, MAX_NAMED).join(", ") + (labels.length > MAX_NAMED ? ", …" : "");
  return `16 training images of ${d.name} with their labels: ${named}`;
}
