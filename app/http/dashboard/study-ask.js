// Ask and tell: suggestions for networks that are trained elsewhere, and their results.

import { change } from "./api.js";
import { askForValues } from "./dialog.js";
import { facts, field, h, renderOnChange } from "./dom.js";
import { dateTime, integer, millions, multiplier, percent, px, shortId } from "./format.js";
import { problemBox, state } from "./messages.js";
import { updateQuery } from "./router.js";
import { table } from "./table.js";

const DEFAULT_CLIENT = "dashboard";

export function askTell(page, path) {
  const message = h("div", { role: "status" });
  const counts = h("div", {});
  const list = h("div", {});
  const client = h("input", {
    id: "ask-client",
    value: page.query.get("client") ?? DEFAULT_CLIENT,
    required: true,
    maxlength: 200,
    autocomplete: "off",
  });
  const number = h("input", { id: "ask-n", type: "number", min: 1, max: 100, step: 1, value: 1, required: true });
  const suggestions = new Map(); // by id, those that were asked for or answered here
  const showCounts = renderOnChange(counts, ({ suggestions_open: open, suggestions_answered: answered }) =>
    facts([
      ["Open suggestions", integer(open)],
      ["Answered suggestions", integer(answered)],
    ]),
  );
  const showList = renderOnChange(list, (items) =>
    items.length
      ? table("Suggestions", columns, items)
      : h("p", { class: "hint" }, "Ask to see the open suggestions of the client, and new ones."),
  );
  const show = () => showList([...suggestions.values()]);

  const button = (text, name, act) => h("button", { type: "button", "aria-label": name, onclick: act }, text);
  const columns = [
    { label: "Suggestion", head: true, cell: (s) => shortId(s.id) },
    { label: "State", cell: (s) => state(s.state) },
    ...["r", "d", "w"].map((m) => ({ label: m, number: true, cell: (s) => multiplier(s.multipliers[m]) })),
    { label: "Input (px)", number: true, cell: (s) => px(s.config.resolution) },
    { label: "Multiply-adds", number: true, cell: (s) => millions(s.flops) },
    {
      label: "Predicted",
      number: true,
      cell: (s) =>
        s.predicted_accuracy ? `${percent(s.predicted_accuracy.mean)} ± ${percent(s.predicted_accuracy.sd)}` : "–",
    },
    { label: "Reported", number: true, cell: (s) => percent(s.reported?.accuracy) },
    { label: "Expires", cell: (s) => dateTime(s.lease_expires_at) },
    {
      label: "Result",
      cell: (s) =>
        s.state === "reported"
          ? "–"
          : [
              button("Tell the accuracy", `Tell the accuracy of ${shortId(s.id)}`, () => tell(s)),
              " ",
              s.state === "infeasible" ? "" : button("Infeasible", `${shortId(s.id)} is infeasible`, () => refuse(s)),
            ],
    },
  ];

  async function attempt(act) {
    message.replaceChildren();
    try {
      await act();
      show();
      page.refresh();
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
  }

  const report = (body) =>
    attempt(async () => {
      const { suggestion } = await change(`${path}/tell`, body);
      if (suggestion) suggestions.set(suggestion.id, suggestion);
      else message.textContent = "The result is an observation now.";
    });

  async function tell({ id }) {
    const accuracy = h("input", { name: "accuracy", type: "number", min: 0, max: 1, step: "any", required: true });
    const values = await askForValues("Tell the accuracy", [["Accuracy, from 0 to 1", accuracy]], "Tell");
    if (values) await report({ suggestion: id, accuracy: Number(values.accuracy) });
  }

  async function refuse({ id }) {
    const reason = h("input", { name: "reason", required: true, maxlength: 200, autocomplete: "off" });
    const values = await askForValues("Why can it not be trained?", [["Reason", reason]], "Tell");
    if (values) await report({ suggestion: id, infeasible: values.reason });
  }

  function ask(event) {
    event.preventDefault();
    updateQuery({ client: client.value === DEFAULT_CLIENT ? "" : client.value });
    return attempt(async () => {
      const { items } = await change(`${path}/ask`, { client: client.value, n: number.valueAsNumber });
      suggestions.clear();
      for (const item of items) suggestions.set(item.id, item);
    });
  }

  page.root.append(
    counts,
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Ask"),
      h(
        "p",
        { class: "hint" },
        "The client's unanswered suggestions come first, then new ones. Each is the network that is expected to improve the front most.",
      ),
      h(
        "form",
        { onsubmit: ask },
        h("div", { class: "fields" }, field("Client", client), field("Suggestions", number)),
        h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Ask")),
      ),
      message,
      list,
    ),
    ownNetwork(client, report),
  );
  show();
  return {
    async update({ study }) {
      showCounts(study.counts);
    },
  };
}

// The form to report a network that the client chose itself.
function ownNetwork(client, report) {
  const value = (id, max) => h("input", { id, type: "number", min: 0, max, step: "any", required: true });
  const [r, d, w] = ["tell-r", "tell-d", "tell-w"].map((id) => value(id, 10));
  const accuracy = value("tell-accuracy", 1);

  function submit(event) {
    event.preventDefault();
    const multipliers = { r: r.valueAsNumber, d: d.valueAsNumber, w: w.valueAsNumber };
    report({ client: client.value, multipliers, accuracy: accuracy.valueAsNumber });
  }

  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Tell of another network"),
    h(
      "form",
      { onsubmit: submit },
      h(
        "div",
        { class: "fields" },
        field("r", r),
        field("d", d),
        field("w", w),
        field("Accuracy, from 0 to 1", accuracy),
      ),
      h("p", { class: "actions" }, h("button", { type: "submit" }, "Tell the result")),
    ),
  );
}
