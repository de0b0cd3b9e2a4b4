// The API key, if the service requires one. It is stored for this tab only.

import { openDialog } from "./dialog.js";
import { field, h } from "./dom.js";

const STORAGE_KEY = "rdw-key";
/** @type {Promise<boolean> | null} */
let asking = null;

export const currentKey = () => sessionStorage.getItem(STORAGE_KEY);

/** @returns {Record<string, string>} */
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

export function useKey(secret) {
  sessionStorage.setItem(STORAGE_KEY, secret);
  dispatchEvent(new Event("rdw-key"));
}

// Opens one dialog for any number of rejected requests. Resolves to whether a key was entered.
export function askForKey(reason) {
  asking ??= showDialog(reason).finally(() => (asking = null));
  return asking;
}

async function showDialog(reason) {
  const input = h("input", { type: "password", name: "key", id: "key-input", autocomplete: "off", required: true });
  const hint = h("p", { class: "hint" }, "It is stored in this tab only, until the tab is closed.");
  const content = [h("p", {}, reason), field("API key", input), hint];
  const values = await openDialog("An API key is required", content, "Use this key", "Continue without");
  if (values) useKey(values.key.trim());
  return values !== null;
}
