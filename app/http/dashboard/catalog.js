// The registered baselines and the data sets.

import { change, get, query } from "./api.js";
import { archivedChoice } from "./archived.js";
import { checkState } from "./dataset.js";
import { h, renderOnChange } from "./dom.js";
import { integer, millions } from "./format.js";
import { manageButtons } from "./manage.js";
import { problemBox } from "./messages.js";
import { poll } from "./poll.js";
import { table } from "./table.js";

export async function catalog(page) {
  page.title("Catalog");
  const message = h("div", { role: "status" });
  const body = h("div", {});
  const choice = archivedChoice(() => polling.now());
  page.root.append(
    h("p", { class: "lead" }, "Data sets and the baselines that were registered. A former name goes on to stand for what was renamed."),
    choice.node,
    message,
    body,
  );
  const say = (text) => {
    message.textContent = text;
    polling.now();
  };
  const fail = (error) => message.replaceChildren(problemBox(error));
  const buttons = (collection, title) => (item) =>
    manageButtons({
      path: `v1/${collection}/${encodeURIComponent(item.name)}`,
      title,
      resource: item,
      subject: item.name,
      changed: (now) => say(now.name === item.name ? `${item.name} is changed.` : `${item.name} is ${now.name} now.`),
      deleted: () => say(`${item.name} is deleted.`),
      fail,
    });

  async function refresh(dataset) {
    const read = await change(`v1/datasets/${encodeURIComponent(dataset.name)}/refresh`);
    if (read.state === "checking") say(`The images of ${dataset.name} are being read again.`);
    else say(read.digest === dataset.digest ? `${dataset.name} has not changed.` : `${dataset.name} was read again: its images have changed.`);
  }

  const refreshButton = (d) => h("button", { type: "button", "aria-label": `Refresh ${d.name}`, onclick: () => refresh(d).catch(fail) }, "Refresh");
  const describe = { label: "Description", cell: (item) => h("span", { class: "detail" }, item.description ?? "–") };
  const datasetColumns = [
    { label: "Data set", head: true, cell: (d) => h("a", { href: `#/datasets/${encodeURIComponent(d.name)}` }, d.name) },
    { label: "State", cell: checkState },
    { label: "Task", cell: (d) => d.task },
    { label: "Classes", number: true, cell: (d) => integer(d.num_classes) },
    { label: "Training images", number: true, cell: (d) => integer(d.train_images) },
    describe,
    { label: "Actions", cell: (d) => (d.built_in ? "built-in" : h("span", { class: "actions" }, refreshButton(d), buttons("datasets", "data set")(d))) },
  ];
  const architectureColumns = [
    { label: "Baseline", head: true, cell: (a) => a.name },
    { label: "Family", cell: (a) => a.family },
    { label: "Multiply-adds", number: true, cell: (a) => millions(a.flops) },
    { label: "Parameters", number: true, cell: (a) => millions(a.params) },
    describe,
    { label: "Actions", cell: (a) => h("span", { class: "actions" }, buttons("architectures", "baseline")(a)) },
  ];
  const part = (title, columns, items, empty) =>
    h("section", { class: "card" }, h("h2", {}, title), items.length ? table(title, columns, items, { shown: false }) : h("p", { class: "hint" }, empty));
  const show = renderOnChange(body, ({ datasets, architectures }) => [
    part("Data sets", datasetColumns, datasets, "There are no such data sets."),
    part("Registered baselines", architectureColumns, architectures.filter((a) => !a.built_in), "There are no such baselines. `rdw architectures add` registers one."),
  ]);

  const polling = poll(async () => {
    const filter = { archived: choice.value() };
    const [datasets, architectures] = await Promise.all(
      ["v1/datasets", "v1/architectures"].map((path) => get(query(path, filter), page.signal)),
    );
    const shown = { datasets: datasets.items, architectures: architectures.items };
    show(shown);
    return shown;
  }, page.signal);
  await polling.running;
}
