// API keys: who may call the service. They are listed, created and revoked with a key of scope `admin`.

import { change, get, query } from "./api.js";
import { copyButton } from "./clipboard.js";
import { textColumn, timeColumn } from "./columns.js";
import { confirmAction } from "./dialog.js";
import { field, h, options } from "./dom.js";
import { useKey } from "./key.js";
import { onSubmit, problemBox, state } from "./messages.js";
import { listing } from "./paged-list.js";

const FORBIDDEN = 403;
const SCOPES = [
  ["read", "read: scale, read everything"],
  ["train", "train: also train and run studies"],
  ["admin", "admin: also manage keys and what answers everybody"],
];
const OPEN =
  "This service has no keys: every program on its machine may use it. The first key turns authentication on, and every request needs a key from then on. It has the scope admin, so that it can create the others.";
const GUARDED =
  "Every request needs a key. Give each caller its own, with the smallest scope that suffices. Keys in the setting RDW_API_KEYS are not listed.";

export async function keys(page) {
  page.title("Keys");
  const { root, signal } = page;
  let caller;
  try {
    ({ caller } = await get(query("v1/keys", { limit: 1 }), signal));
  } catch (error) {
    if (error.status !== FORBIDDEN) throw error;
    root.append(
      h("p", { class: "lead" }, error.message),
      h("p", { class: "hint" }, "To enter another key, press Forget the key."),
    );
    return;
  }
  const lead = h("p", { class: "lead" });
  const secret = h("div", { role: "status" });
  const message = h("div", { role: "status" });
  const card = h("section", { class: "card" });
  const form = newKey(async (body) => {
    const created = await change("v1/keys", body);
    const isFirst = caller === null;
    if (isFirst) useKey(created.secret);
    caller ??= created.name;
    const title = h("h2", { tabindex: "-1" }, `The key ${created.name}`);
    secret.replaceChildren(shownOnce(title, created.secret, isFirst, close));
    title.focus(); // it may be out of sight
    show();
    list.refresh();
  });

  function close() {
    secret.replaceChildren();
    page.heading.focus();
  }

  function show() {
    lead.textContent = caller === null ? OPEN : GUARDED;
    form.allow(caller === null ? SCOPES.filter(([scope]) => scope === "admin") : SCOPES);
  }

  async function revoke(key) {
    const text = "It is refused within five seconds, for good. What it made stays.";
    if (!(await confirmAction(`Revoke ${key.name}?`, text, "Revoke the key"))) return;
    message.replaceChildren();
    try {
      await change(`v1/keys/${key.id}/revoke`);
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
    list.refresh();
  }

  root.append(lead, secret, form.node, message, card);
  show();
  const list = listing(
    { ...page, root: card },
    {
      path: "v1/keys",
      caption: "Keys, newest first",
      columns: [
        { label: "Name", head: true, value: (k) => k.name, cell: (k) => k.name },
        { label: "State", value: (k) => k.state, cell: (k) => state(k.state) },
        {
          label: "Action",
          cell: (k) =>
            k.name === caller
              ? "this tab’s key"
              : k.state === "revoked"
                ? "–"
                : h("button", { type: "button", "aria-label": `Revoke ${k.name}`, onclick: () => revoke(k) }, "Revoke"),
        },
        textColumn("Scope", (k) => k.scope),
        timeColumn("Created", (k) => k.created_at),
        timeColumn("Expires", (k) => k.expires_at),
        timeColumn("Last used", (k) => k.last_used_at),
        timeColumn("Revoked", (k) => k.revoked_at),
      ],
      textOf: (k) => `${k.name} ${k.scope} ${k.state} ${k.id}`,
      empty: "No key was created yet.",
    },
  );
}

// The form for a new key: { node, allow(scopes) }. `create` is called with the request's body.
function newKey(create) {
  const name = h("input", {
    id: "new-key-name",
    required: true,
    maxlength: 100,
    pattern: "[A-Za-z0-9][A-Za-z0-9_.@\\-]*",
    autocomplete: "off",
  });
  const scope = h("select", { id: "new-key-scope" });
  const days = h("input", { id: "new-key-days", type: "number", min: 1, max: 36500, step: 1 });
  const button = h("button", { type: "submit", class: "primary" }, "Create the key");
  const problem = h("div", { role: "status" });

  async function submit() {
    problem.replaceChildren();
    await create({ name: name.value, scope: scope.value, lifetime_days: days.value ? days.valueAsNumber : null });
    form.reset();
  }

  const form = h(
    "form",
    { onsubmit: onSubmit(button, submit, problem) },
    h(
      "div",
      { class: "fields" },
      field("Name", name, "Who uses it: letters, digits, dot, hyphen, underscore and @. It owns what the key makes."),
      field("Scope", scope),
      field("Expires after, days", days, "Empty: it does not expire."),
    ),
    h("p", { class: "actions" }, button),
    problem,
  );
  return {
    node: h("section", { class: "card" }, h("h2", {}, "New key"), form),
    allow: (scopes) => options(scope, scopes, scopes[0][0]),
  };
}

function shownOnce(title, secret, isFirst, close) {
  return h(
    "section",
    { class: "card new-secret" },
    title,
    h("p", {}, "Store it now: it cannot be shown again."),
    h("p", {}, h("code", {}, secret)),
    isFirst ? h("p", {}, "This tab uses it from now on, until the tab is closed. Requests without a key are refused.") : null,
    h(
      "p",
      { class: "actions" },
      copyButton("Copy the key", () => secret),
      h("button", { type: "button", onclick: close }, "I have stored it"),
    ),
  );
}
