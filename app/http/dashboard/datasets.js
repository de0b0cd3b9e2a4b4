// The data sets, and the form to register a folder of images.

import { change, get, query } from "./api.js";
import { archivedChoice } from "./archived.js";
import { detailColumn, linkColumn, numberColumn } from "./columns.js";
import { checkState } from "./dataset.js";
import { h } from "./dom.js";
import { integer } from "./format.js";
import { itemList } from "./item-list.js";
import { manageButtons } from "./manage.js";
import { problemBox } from "./messages.js";
import { newDataset } from "./new-dataset.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";

export async function datasets(page) {
  page.title("Data sets");
  const message = h("div", { role: "status" });
  const choice = archivedChoice(page, () => polling.now());
  const say = (text) => {
    message.textContent = text;
    polling.now();
  };
  const fail = (error) => message.replaceChildren(problemBox(error));

  async function refresh(dataset) {
    const read = await change(`v1/datasets/${encodeURIComponent(dataset.name)}/refresh`);
    if (read.state === "checking") say(`The images of ${dataset.name} are being read again.`);
    else
      say(
        read.digest === dataset.digest
          ? `${dataset.name} has not changed.`
          : `${dataset.name} was read again: its images have changed.`,
      );
  }

  const actions = (d) =>
    h(
      "span",
      { class: "actions" },
      h(
        "button",
        { type: "button", "aria-label": `Refresh ${d.name}`, onclick: () => refresh(d).catch(fail) },
        "Refresh",
      ),
      manageButtons({
        path: `v1/datasets/${encodeURIComponent(d.name)}`,
        title: "data set",
        resource: d,
        subject: d.name,
        changed: (now) => say(now.name === d.name ? `${d.name} is changed.` : `${d.name} is ${now.name} now.`),
        deleted: () => say(`${d.name} is deleted.`),
        fail,
      }),
    );
  const list = itemList(page, {
    caption: "Data sets, the built-in ones first",
    columns: [
      linkColumn(
        "Data set",
        (d) => d.name,
        (d) => addressOf("datasets", d.name),
      ),
      { label: "State", value: (d) => d.state, cell: checkState },
      { label: "Task", value: (d) => d.task, cell: (d) => d.task },
      numberColumn("Classes", (d) => d.num_classes, integer),
      numberColumn("Training images", (d) => d.train_images, integer),
      numberColumn("Test images", (d) => d.test_images, integer),
      detailColumn("Description", (d) => d.description),
      { label: "Actions", cell: (d) => (d.built_in ? "built-in" : actions(d)) },
    ],
    textOf: (d) => `${d.name} ${d.task} ${d.state} ${d.description}`,
    empty: "There are no such data sets.",
  });
  page.root.append(
    h(
      "p",
      { class: "lead" },
      "Images that networks are trained on. A former name goes on to stand for what was renamed.",
    ),
    newDataset(page),
    choice.node,
    message,
    h("section", { class: "card" }, list.node),
  );
  const polling = poll(async () => {
    const { items } = await get(query("v1/datasets", { archived: choice.value() }), page.signal);
    list.show(items);
    return items;
  }, page.signal);
  await polling.running;
}
