// Asks before what is not lightly undone.

import { h, uniqueId } from "./dom.js";

export function confirmed(title, text, action) {
  const id = uniqueId("dialog");
  const dialog = h(
    "dialog",
    { "aria-labelledby": id },
    h("h2", { id }, title),
    h("p", {}, text),
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", class: "primary", onclick: () => dialog.close("yes") }, action),
      h("button", { type: "button", onclick: () => dialog.close() }, "Leave it"),
    ),
  );
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
