// The choice between the resources in use and the archived ones.

import { h, uniqueId } from "./dom.js";

export function archivedChoice(changed) {
  const input = h("input", { type: "checkbox", id: uniqueId("archived"), onchange: changed });
  return {
    node: h("p", { class: "bar" }, input, h("label", { for: input.id }, "Show the archived ones")),
    value: () => (input.checked ? "true" : ""),
  };
}
