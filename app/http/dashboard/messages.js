// Messages: problems, the states of trials and studies, and loading.

import { h } from "./dom.js";

export function problemBox(error, ...actions) {
  const document = error.document ?? {};
  const detail = error.message;
  const more = (document.errors ?? []).filter((item) => !detail.includes(item.message));
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", {}, document.title ? h("strong", {}, `${document.title}. `) : null, detail),
    more.length
      ? h(
          "ul",
          {},
          more.map((item) => h("li", {}, `${item.pointer}: ${item.message}`)),
        )
      : null,
    actions.length ? h("p", { class: "actions" }, actions) : null,
  );
}

// Runs an action while its button is disabled. Its error is passed to `fail`.
export async function whileDisabled(button, act, fail) {
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    fail(error);
  }
  button.disabled = false;
}

// Returns a form's handler, which shows the action's error in the box.
export const onSubmit = (button, act, box) => (event) => {
  event.preventDefault();
  whileDisabled(button, act, (error) => box.replaceChildren(problemBox(error)));
};

export const state = (name) => h("span", { class: `state ${name.replaceAll(" ", "-")}` }, name);

export const warning = (text) => h("p", { class: "warning" }, text);

export const loading = (text = "Loading …") => h("p", { class: "hint", role: "status" }, text);
