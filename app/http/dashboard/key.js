// The API key, if the service requires one. It is stored for this tab only.

import { field, h } from "./dom.js";

const STORAGE_KEY = "rdw-key";
let openDialog = null;

export const currentKey = () => sessionStorage.getItem(STORAGE_KEY);

export const authorization = () => (currentKey() ? { Authorization: `Bearer ${currentKey()}` } : {});

export function setUpKey(button) {
  const show = () => (button.hidden = !currentKey());
  button.addEventListener("click", () => {
    sessionStorage.removeItem(STORAGE_KEY);
    location.reload();
  });
  addEventListener("rdw-key", show);
  show();
}

// Opens one dialog for any number of rejected requests. Resolves to whether a key was entered.
export function askForKey(reason) {
  openDialog ??= showDialog(reason).finally(() => (openDialog = null));
  return openDialog;
}

function showDialog(reason) {
  const input = h("input", { type: "password", id: "key-input", autocomplete: "off", required: true });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, "An API key is required"),
      h("p", {}, reason),
      field("API key", input),
      h("p", { class: "hint" }, "It is stored in this tab only, until the tab is closed."),
      h(
        "p",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Use this key"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Continue without"),
      ),
    ),
  );
  return new Promise((resolve) => {
    let isEntered = false;
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORAGE_KEY, input.value.trim());
      isEntered = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      dispatchEvent(new Event("rdw-key"));
      resolve(isEntered);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
