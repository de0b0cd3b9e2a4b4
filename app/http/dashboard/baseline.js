// The choice of a baseline: grouped by family, narrowed by what is typed.

import { field, h } from "./dom.js";
import { millions } from "./format.js";

export function baselinePicker(architectures, chosen, onChange) {
  const find = h("input", { type: "search", placeholder: "b0, resnet, tiny …", autocomplete: "off", spellcheck: "false" });
  const select = h("select", { id: "architecture" });
  const size = h("span", { class: "hint" });
  let current = chosen;

  const matching = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    return architectures.filter((a) => words.every((word) => `${a.family} ${a.name}`.includes(word)));
  };

  function fill() {
    const shown = matching();
    if (!shown.some((a) => a.name === current)) shown.unshift(architectures.find((a) => a.name === current));
    const families = Map.groupBy ? Map.groupBy(shown, (a) => a.family) : grouped(shown);
    select.replaceChildren(
      ...[...families].map(([family, members]) =>
        h(
          "optgroup",
          { label: family },
          members.map((a) => h("option", { value: a.name, selected: a.name === current }, a.name)),
        ),
      ),
    );
    select.value = current;
    const { flops, resolution } = architectures.find((a) => a.name === current);
    size.textContent = `${millions(flops)} at ${resolution} px`;
  }

  function choose(name) {
    current = name;
    fill();
    onChange(name);
  }

  find.addEventListener("input", fill);
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !find.value.trim()) return;
    const first = matching()[0];
    if (first) choose(first.name);
  });
  select.addEventListener("change", () => choose(select.value));
  fill();
  return [field("Find a baseline", find), field("Baseline", select, size)];
}

function grouped(items) {
  const families = new Map();
  for (const item of items) families.set(item.family, [...(families.get(item.family) ?? []), item]);
  return families;
}
