// Elements from names, attributes and children. Text goes in as text nodes: nothing from the server is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

// A control with its label, and a hint that describes it.
export function field(label, control, hint) {
  control.id ||= uniqueId("field");
  const described = typeof hint === "string" ? h("span", { class: "hint" }, hint) : hint;
  if (described) {
    described.id ||= uniqueId("hint");
    control.setAttribute("aria-describedby", described.id);
  }
  return h("div", { class: "field" }, h("label", { class: "label", for: control.id }, label), control, described);
}

export const options = (select, items, chosen) => {
  select.replaceChildren(...items.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return select;
};

let ids = 0;
export const uniqueId = (prefix) => `${prefix}-${++ids}`;

// Shows what `render` makes of the data, again whenever that has changed; the focus stays on the same link or button.
export function live(container, render) {
  let shown;
  return (data) => {
    const now = JSON.stringify(data);
    if (now === shown) return;
    shown = now;
    const key = container.contains(document.activeElement) ? keyOf(document.activeElement) : null;
    container.replaceChildren(...[render(data)].flat(Infinity).filter(Boolean));
    if (key) [...container.querySelectorAll("a, button, [tabindex]")].find((node) => keyOf(node) === key)?.focus();
  };
}

const keyOf = (node) => node.dataset.key ?? node.getAttribute("href") ?? node.getAttribute("aria-label") ?? node.textContent;
