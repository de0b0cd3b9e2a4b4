// The API key, where the service asks for one: kept for this tab alone, asked for in a dialog.

import { field, h } from "./dom.js";

const KEPT = "rdw-key";
let asking = null;

export const currentKey = () => sessionStorage.getItem(KEPT);

export const authorization = () => (currentKey() ? { Authorization: `Bearer ${currentKey()}` } : {});

export function setUpKey(button) {
  const show = () => (button.hidden = !currentKey());
  button.addEventListener("click", () => {
    sessionStorage.removeItem(KEPT);
    location.reload();
  });
  addEventListener("rdw-key", show);
  show();
}

// Asks once, however many requests were refused; whether a key was given.
export function askForKey(why) {
  asking ??= ask(why).finally(() => (asking = null));
  return asking;
}

function ask(why) {
  const input = h("input", { type: "password", id: "key-input", autocomplete: "off", required: true });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, "A key is needed"),
      h("p", {}, why),
      field("API key", input),
      h("p", { class: "hint" }, "It stays in this tab, and is gone when the tab is closed."),
      h(
        "p",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Use this key"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Without"),
      ),
    ),
  );
  return new Promise((resolve) => {
    let given = false;
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, input.value.trim());
      given = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      dispatchEvent(new Event("rdw-key"));
      resolve(given);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
