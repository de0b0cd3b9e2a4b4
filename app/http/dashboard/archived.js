// The choice between the resources in use and the archived ones; it is in the address.

import { h, uniqueId } from "./dom.js";
import { updateQuery } from "./router.js";

export function archivedChoice(page, changed) {
  const remember = () => {
    updateQuery({ archived: input.checked ? "true" : "" });
    changed();
  };
  const input = h("input", {
    type: "checkbox",
    id: uniqueId("archived"),
    checked: page.query.get("archived") === "true",
    onchange: remember,
  });
  return {
    node: h("p", { class: "bar" }, input, h("label", { for: input.id }, "Show the archived ones")),
    value: () => (input.checked ? "true" : ""),
  };
}
