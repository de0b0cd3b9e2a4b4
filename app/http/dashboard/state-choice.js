// A choice of the state of the items of a list; it is in the address.

import { field, h, options } from "./dom.js";
import { warning } from "./messages.js";
import { updateQuery } from "./router.js";

export function stateChoice(page, states, changed) {
  const requested = page.query.get("state") ?? "";
  const isKnown = !requested || states.includes(requested);
  const select = options(
    h("select", { id: "state" }),
    [["", "all"], ...states.map((name) => [name, name])],
    isKnown ? requested : "",
  );
  select.addEventListener("change", () => {
    updateQuery({ state: select.value });
    changed();
  });
  return {
    node: [
      isKnown ? "" : warning(`There is no state ${requested}: all states are shown.`),
      h("div", { class: "fields bar" }, field("State", select)),
    ],
    value: () => select.value,
  };
}
