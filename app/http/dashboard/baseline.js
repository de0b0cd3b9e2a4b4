// A selection of baselines, grouped by family and filtered by a search text.

import { field, groupBy, h } from "./dom.js";
import { millions, px } from "./format.js";
import { networkName } from "./names.js";

export function baselinePicker(architectures, chosen, onChange) {
  const search = h("input", { type: "search", placeholder: "b0, resnet, tiny …", autocomplete: "off", spellcheck: "false" });
  const select = h("select", { id: "architecture" });
  const summary = h("span", { class: "hint" });
  let current = chosen;

  const matching = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return architectures.filter((a) => words.every((word) => `${a.family} ${a.name} ${networkName(a.name)}`.toLowerCase().includes(word)));
  };

  function fill() {
    const shown = matching();
    if (!shown.some((a) => a.name === current)) shown.unshift(architectures.find((a) => a.name === current));
    select.replaceChildren(
      ...[...groupBy(shown, (a) => a.family)].map(([family, members]) =>
        h(
          "optgroup",
          { label: family },
          members.map((a) => h("option", { value: a.name, selected: a.name === current }, networkName(a.name))),
        ),
      ),
    );
    select.value = current;
    const { flops, resolution } = architectures.find((a) => a.name === current);
    summary.textContent = `${millions(flops)} at ${px(resolution)} px`;
  }

  function choose(name) {
    current = name;
    fill();
    onChange(name);
  }

  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !search.value.trim()) return;
    const first = matching()[0];
    if (first) choose(first.name);
  });
  select.addEventListener("change", () => choose(select.value));
  fill();
  return [field("Find a baseline", search), field("Baseline", select, summary)];
}
