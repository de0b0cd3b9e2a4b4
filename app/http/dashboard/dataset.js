// One data set: the state of its check, what was understood of its folder, and sample images.

import { get, getBlob, isAbort } from "./api.js";
import { h, renderOnChange } from "./dom.js";
import { integer, px } from "./format.js";
import { state } from "./messages.js";
import { poll } from "./poll.js";
import { table } from "./table.js";

const MAX_NAMED = 10; // classes in the text of the image

export function checkState(d) {
  const { images, total } = d.progress ?? {};
  const detail = d.error ?? (total ? `${integer(images)} of ${integer(total)} images` : d.progress ? "the images are being listed" : null);
  return [state(d.state), detail ? h("span", { class: "detail" }, ` ${detail}`) : null];
}

export async function dataset(page) {
  const { id: name, root, signal } = page;
  const path = `v1/datasets/${encodeURIComponent(name)}`;
  page.title(name);
  const facts = h("div", {});
  const samples = h("section", { class: "card" }, h("h2", {}, "Sample images"));
  const body = h("div", {});
  root.append(facts, samples, body);

  const showFacts = renderOnChange(facts, (d) =>
    h(
      "dl",
      { class: "facts" },
      [
        ["State", checkState(d)],
        ["Classes", integer(d.num_classes)],
        ["Training images", integer(d.train_images)],
        ["Test images", integer(d.test_images)],
        ["Channels", integer(d.channels)],
        ["px", px(d.native_px)],
      ].map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))),
    ),
  );
  const list = (title, items) => (items.length ? h("section", { class: "card" }, h("h2", {}, title), h("ul", {}, items.map((item) => h("li", {}, item)))) : null);
  const showBody = renderOnChange(body, (d) => [
    list("Warnings", d.warnings),
    d.splits.length
      ? h("section", { class: "card" }, table("Parts", PARTS, d.splits))
      : null,
    list("Passed over", d.skipped.map((s) => `${integer(s.files)} ${s.reason}, such as ${s.examples[0]}`)),
  ]);
  const showSamples = sampleImages(samples, path, signal);
  await poll(async () => {
    const found = await get(path, signal);
    showFacts(found);
    showBody(found);
    await showSamples(found);
    return found;
  }, signal).running;
}

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
  let shown = null;
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
  const labels = [...new Set((d.samples.length ? d.samples.map((s) => s.label) : d.classes.map((c) => c.name)))];
  const named = labels.slice(0, MAX_NAMED).join(", ") + (labels.length > MAX_NAMED ? ", …" : "");
  return `16 training images of ${d.name} with their labels: ${named}`;
}
