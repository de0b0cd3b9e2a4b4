// Dialogs: one asks the user to confirm an action, the other for values.

import { field, h, uniqueId } from "./dom.js";

// Resolves to whether the user confirmed.
export const confirmAction = async (title, text, action) => (await openDialog(title, [h("p", {}, text)], action)) !== null;

// Resolves to the values of the inputs by name, or to null. `inputs`: [label, input].
export const askForValues = (title, inputs, action) =>
  openDialog(title, [h("div", { class: "fields" }, inputs.map(([label, input]) => field(label, input)))], action);

// Resolves to the values of the named controls in `content`, or to null if it was closed.
export function openDialog(title, content, action, close = "Close") {
  const id = uniqueId("dialog");
  const form = h(
    "form",
    { onsubmit: submit },
    h("h2", { id }, title),
    content,
    h(
      "p",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, action),
      h("button", { type: "button", onclick: () => dialog.close() }, close),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": id }, form);

  function submit(event) {
    event.preventDefault();
    dialog.close("yes");
  }

  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const values = Object.fromEntries([...form.elements].filter((e) => e.name).map((e) => [e.name, e.value]));
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? values : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
