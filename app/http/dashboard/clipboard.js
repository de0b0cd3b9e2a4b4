// Buttons that copy text to the clipboard.

import { h } from "./dom.js";

async function copyToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text); // exists on secure origins only
    return true;
  } catch {
    return false;
  }
}

export function copyButton(label, text) {
  const message = h("span", { class: "hint", role: "status" });
  const copy = async () => {
    message.textContent = (await copyToClipboard(text())) ? "Copied." : "The browser does not allow copying.";
  };
  return h("span", { class: "copy" }, h("button", { type: "button", onclick: copy }, label), message);
}
