// The baselines, built-in and registered, and the form to register one.

import { getAll } from "./api.js";
import { archivedChoice } from "./archived.js";
import { linkColumn, numberColumn, textColumn } from "./columns.js";
import { h } from "./dom.js";
import { millions, px } from "./format.js";
import { itemList } from "./item-list.js";
import { networkName } from "./names.js";
import { newBaseline } from "./new-baseline.js";
import { poll } from "./poll.js";
import { addressOf } from "./route.js";

const LIST = {
  caption: "Baselines, the built-in ones first",
  columns: [
    linkColumn(
      "Baseline",
      (a) => a.name,
      (a) => addressOf("baselines", a.name),
    ),
    { label: "Family", value: (a) => a.family, cell: (a) => a.family },
    { label: "Input (px)", number: true, value: (a) => [a.resolution].flat()[0], cell: (a) => px(a.resolution) },
    numberColumn("Multiply-adds", (a) => a.flops, millions),
    numberColumn("Parameters", (a) => a.params, millions),
    { label: "Origin", value: (a) => Number(a.built_in), cell: (a) => (a.built_in ? "built-in" : "registered") },
    textColumn("Description", (a) => a.description),
  ],
  textOf: (a) =>
    `${a.name} ${networkName(a.name)} ${a.family} ${a.built_in ? "built-in" : "registered"} ${a.description ?? ""}`,
  empty: "There are no such baselines.",
};

export async function baselines(page) {
  page.title("Baselines");
  const choice = archivedChoice(page, () => polling.now());
  const list = itemList(page, LIST);
  page.root.append(
    h("p", { class: "lead" }, "The networks that are scaled. Each is the one at the multipliers 1, 1, 1."),
    newBaseline(page),
    choice.node,
    h("section", { class: "card" }, list.node),
  );
  const polling = poll(async () => {
    const items = await getAll("v1/architectures", page.signal, { archived: choice.value() });
    list.show(items);
    return items;
  }, page.signal);
  await polling.running;
}
