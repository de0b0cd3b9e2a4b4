// Ask and tell: suggestions for networks that are trained elsewhere, and their results.

import { change } from "./api.js";
import { numberColumn, textColumn, timeColumn } from "./columns.js";
import { askForValues } from "./dialog.js";
import { facts, field, h, renderOnChange } from "./dom.js";
import { integer, millions, multiplier, percent, plural, px, shortId } from "./format.js";
import { problemBox, state } from "./messages.js";
import { listing } from "./paged-list.js";
import { updateQuery } from "./router.js";
import { stateChoice } from "./state-choice.js";

const DEFAULT_CLIENT = "dashboard";

export function askTell(page, path, { suggestionStates }) {
  const message = h("div", { role: "status" });
  const counts = h("div", {});
  const card = h("section", { class: "card" }, h("h2", {}, "Suggestions"));
  const client = h("input", {
    id: "ask-client",
    value: page.query.get("client") ?? DEFAULT_CLIENT,
    required: true,
    maxlength: 200,
    autocomplete: "off",
  });
  const number = h("input", { id: "ask-n", type: "number", min: 1, max: 100, step: 1, value: 1, required: true });
  const showCounts = renderOnChange(counts, ({ suggestions_open: open, suggestions_answered: answered }) =>
    facts([
      ["Open suggestions", integer(open)],
      ["Answered suggestions", integer(answered)],
    ]),
  );

  const button = (text, name, act) => h("button", { type: "button", "aria-label": name, onclick: act }, text);
  const columns = [
    { label: "Suggestion", head: true, value: (s) => s.id, cell: (s) => shortId(s.id) },
    { label: "State", value: (s) => s.state, cell: (s) => state(s.state) },
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
    textColumn("Client", (s) => s.client),
    ...["r", "d", "w"].map((m) => numberColumn(m, (s) => s.multipliers[m], multiplier)),
    {
      label: "Input (px)",
      number: true,
      value: (s) => [s.config.resolution].flat()[0],
      cell: (s) => px(s.config.resolution),
    },
    numberColumn("Multiply-adds", (s) => s.flops, millions),
    {
      label: "Predicted",
      number: true,
      value: (s) => s.predicted_accuracy?.mean,
      cell: (s) =>
        s.predicted_accuracy ? `${percent(s.predicted_accuracy.mean)} ± ${percent(s.predicted_accuracy.sd)}` : "–",
    },
    numberColumn("Reported", (s) => s.reported?.accuracy, percent),
    timeColumn("Proposed", (s) => s.created_at),
    timeColumn("Expires", (s) => s.lease_expires_at),
  ];

  async function attempt(act) {
    message.replaceChildren();
    try {
      await act();
    } catch (error) {
      message.replaceChildren(problemBox(error));
    }
    list.refresh();
    page.refresh();
  }

  const report = (body) =>
    attempt(async () => {
      const { suggestion } = await change(`${path}/tell`, body);
      if (!suggestion) message.textContent = "The result is an observation now.";
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
      message.textContent = `${client.value} has ${plural(items.length, "open suggestion")} to train.`;
    });
  }

  const states = stateChoice(page, suggestionStates, () => list.restart());
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
    ),
    card,
    ownNetwork(client, report),
  );
  card.append(...states.node);
  const list = listing(
    { ...page, root: card },
    {
      path: `${path}/suggestions`,
      caption: "Suggestions to all clients, newest first",
      columns,
      textOf: (s) => [s.id, s.client, s.state, s.reason].filter(Boolean).join(" "),
      empty: "There are no such suggestions. Ask for some.",
      filters: () => ({ state: states.value() }),
    },
  );
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
