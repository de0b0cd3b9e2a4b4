// The form to register a baseline: a copy of another one as JSON, changed by hand.

import { change, compute, get, getAll } from "./api.js";
import { facts, field, h, options, setError } from "./dom.js";
import { integer, millions } from "./format.js";
import { problemBox, whileDisabled } from "./messages.js";
import { networkName } from "./names.js";
import { structure } from "./network-structure.js";
import { addressOf } from "./route.js";

const START = "efficientnet_b0";

export function newBaseline(page) {
  const from = page.query.get("from");
  const name = h("input", {
    id: "baseline-name",
    required: true,
    maxlength: 100,
    pattern: "[a-z0-9][a-z0-9_.\\-]*",
    autocomplete: "off",
  });
  const start = h("select", { id: "baseline-start" });
  const spec = h("textarea", { id: "baseline-spec", rows: 16, required: true, spellcheck: "false" });
  const check = h(
    "button",
    { type: "button", onclick: () => form.reportValidity() && run(check, understand) },
    "Check",
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
      field("Start from", start),
    ),
    h(
      "div",
      { class: "block" },
      field(
        "Network and scaling rules, as JSON",
        spec,
        "baseline has the stages, or timm strings as arch_def; rules may be left out.",
      ),
    ),
    h("p", { class: "actions" }, register, check),
    result,
  );

  function body() {
    try {
      return { name: name.value, ...JSON.parse(spec.value) };
    } catch (error) {
      setError(spec, `This is not JSON: ${error.message}`);
      spec.focus();
      throw error;
    }
  }

  function run(button, act) {
    result.textContent = "";
    setError(spec, null);
    return whileDisabled(button, act, (error) => {
      if (!(error instanceof SyntaxError)) result.replaceChildren(problemBox(error));
    });
  }

  async function understand() {
    const request = { architecture: body(), multipliers: { r: 1, d: 1, w: 1 } };
    const { cost, config } = await compute("v1/cost", request, page.signal);
    const numbers = facts([
      ["Multiply-adds", millions(cost.flops)],
      ["Parameters", millions(cost.params)],
      ["Stages", integer(config.stages.length)],
    ]);
    result.replaceChildren(h("h3", {}, "What was understood"), numbers, structure(config));
  }

  async function fill() {
    const { baseline, rules } = await get(`v1/architectures/${encodeURIComponent(start.value)}`, page.signal);
    spec.value = JSON.stringify({ baseline: { ...baseline, timm: undefined }, rules }, null, 1);
    setError(spec, null);
  }

  const details = h("details", { id: "new-baseline" }, h("summary", {}, "Register a baseline"), form);
  details.addEventListener("toggle", async () => {
    if (!details.open || start.options.length) return;
    try {
      const known = await getAll("v1/architectures", page.signal);
      const chosen = known.some((a) => a.name === from) ? from : START;
      options(
        start,
        known.map((a) => [a.name, networkName(a.name)]),
        chosen,
      );
      await fill();
    } catch (error) {
      page.fail(error);
    }
  });
  details.open = Boolean(from);
  start.addEventListener("change", () => fill().catch(page.fail));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(register, async () => {
      const created = await change("v1/architectures", body());
      location.hash = addressOf("baselines", created.name);
    });
  });
  return h("section", { class: "card" }, details);
}
