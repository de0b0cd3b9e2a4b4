// Names controls that Swagger UI leaves without a name, and makes what scrolls reachable by keyboard.

const ATTRIBUTES = {
  ".information-container": { role: "region", "aria-label": "About the API" },
  ".examples-select-element": { "aria-label": "Example" },
  "textarea.body-param__text": { "aria-label": "Request body" },
  "pre.microlight": { tabindex: "0" },
  ".copy-to-clipboard button": { "aria-label": "Copy" },
};

export function nameControls(root) {
  const apply = () => {
    for (const [selector, attributes] of Object.entries(ATTRIBUTES))
      for (const node of root.querySelectorAll(selector))
        for (const [name, value] of Object.entries(attributes)) if (!node.hasAttribute(name)) node.setAttribute(name, value);
    for (const node of root.querySelectorAll("table.responses-table[role=region]:not([aria-label])"))
      node.setAttribute("aria-label", `Responses of ${node.closest(".opblock")?.id ?? node.id}`);
  };
  new MutationObserver(apply).observe(root, { childList: true, subtree: true });
}
