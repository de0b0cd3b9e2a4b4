// One baseline: its structure and cost by stage.

import { compute, get } from "./api.js";
import { facts, h } from "./dom.js";
import { bytes, integer, millions, px } from "./format.js";
import { manageButtons } from "./manage.js";
import { problemBox } from "./messages.js";
import { networkName } from "./names.js";
import { structure } from "./network-structure.js";
import { addressOf } from "./route.js";
import { stageCosts } from "./stage-costs.js";

export async function baseline(page) {
  const { id: name, root, signal } = page;
  const path = `v1/architectures/${encodeURIComponent(name)}`;
  page.title(name);
  const message = h("div", { role: "status" });
  const found = await get(path, signal);
  const { cost } = await compute("v1/cost", { architecture: found.name, multipliers: { r: 1, d: 1, w: 1 } }, signal);
  page.title(networkName(found.name));
  const manage = manageButtons({
    path,
    title: "baseline",
    resource: found,
    subject: found.name,
    changed: (now) => show(addressOf("baselines", now.name)),
    deleted: () => (location.hash = "#/baselines"),
    fail: (error) => message.replaceChildren(problemBox(error)),
  });
  const show = (address) => {
    if (location.hash !== address) return (location.hash = address);
    root.replaceChildren();
    return baseline(page).catch(page.fail);
  };
  const { rules } = found;
  root.append(
    h(
      "p",
      { class: "lead" },
      `${found.built_in ? "Built-in" : "Registered"} baseline ${found.name} of the family ${found.family}. ${found.description ?? ""}`,
    ),
    found.archived_at ? h("p", { class: "hint" }, "Archived.") : "",
    h(
      "p",
      { class: "trail" },
      h("a", { href: addressOf("scale", "", "", { architecture: found.name }) }, "Scale it"),
      h("a", { href: addressOf("studies", "", "", { q: found.name }) }, "Studies around it"),
      h("a", { href: addressOf("predictors", "", "", { q: found.name }) }, "Its predictors"),
      h("a", { href: addressOf("baselines", "", "", { from: found.name }) }, "Register one like it"),
    ),
    found.built_in ? "" : h("p", { class: "actions" }, manage),
    message,
    facts([
      ["Multiply-adds", millions(cost.flops)],
      ["Parameters", millions(cost.params)],
      ["Input", `${px(found.resolution)} px`],
      ["Peak activations", bytes(cost.peak_activation_bytes)],
      ["Blocks", integer(found.baseline.stages.reduce((sum, s) => sum + s.repeats, 0))],
      ["Divisor of channels", integer(rules.divisor)],
      ["Depth", rules.depth === "ceil" ? "rounded up" : "rounded"],
      ["Stem, head", `${rules.stem}, ${rules.head}`],
    ]),
    h("section", { class: "card" }, h("h2", {}, "Structure by stage"), structure(found.baseline)),
    h("section", { class: "card" }, h("h2", {}, "Cost by stage"), stageCosts(cost.stages, cost.flops)),
  );
}
