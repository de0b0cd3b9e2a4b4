// Buttons that copy a text, and say so.

import { h } from "./dom.js";

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text); // there on secure origins alone
    return true;
  } catch {
    return false;
  }
}

export function copyButton(label, text) {
  const said = h("span", { class: "hint", role: "status" });
  const copy = async () => {
    said.textContent = (await copied(text())) ? "Copied." : "The browser does not let this page copy.";
  };
  return h("span", { class: "copy" }, h("button", { type: "button", onclick: copy }, label), said);
}
