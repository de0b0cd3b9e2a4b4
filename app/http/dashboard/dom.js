// Creates elements. Text is added as text nodes, so data from the server is never markup.

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

// Returns the element of the page with that id, which index.html has.
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no element ${id}.`);
  return element;
}

// Creates a control with a label and a hint.
export function field(label, control, hint) {
  control.id ||= uniqueId("field");
  const hintNode = typeof hint === "string" ? h("span", { class: "hint" }, hint) : hint;
  if (hintNode) {
    hintNode.id ||= uniqueId("hint");
    control.setAttribute("aria-describedby", hintNode.id);
  }
  return h("div", { class: "field" }, h("label", { class: "label", for: control.id }, label), control, hintNode);
}

// Says at a control what is wrong with its value; null: nothing.
export function setError(control, message) {
  const id = `${control.id}-error`;
  document.getElementById(id)?.remove();
  const described = (control.getAttribute("aria-describedby") ?? "").split(" ").filter((name) => name && name !== id);
  if (message) {
    control.parentNode.append(h("span", { id, class: "field-error" }, message));
    described.push(id);
  }
  const set = (name, value) => (value ? control.setAttribute(name, value) : control.removeAttribute(name));
  set("aria-invalid", message && "true");
  set("aria-describedby", described.join(" "));
}

export const options = (select, items, chosen) => {
  select.replaceChildren(...items.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return select;
};

// Creates the list of names and values; `pairs`: [name, value, id of the value or nothing].
export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.map(([name, value, id]) => h("div", {}, h("dt", {}, name), h("dd", { id }, value))));

export function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

let ids = 0;
export const uniqueId = (prefix) => `${prefix}-${++ids}`;

// Returns a function that renders data into the container if the data have changed. The focus stays on the same link or button.
export function renderOnChange(container, render) {
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
