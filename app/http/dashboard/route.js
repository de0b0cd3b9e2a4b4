// Addresses of views: #/name, #/name/id, #/name/id/part, each with parameters.

export function parseRoute(hash) {
  const [path, text = ""] = (hash.replace(/^#\/?/, "") || "scale").split("?");
  const [name, ...rest] = path.replace(/\/$/, "").split("/").map(decode);
  const form = name + "/".repeat(rest.length);
  return { form, name, id: rest[0], part: rest[1], query: new URLSearchParams(text) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no page has such a name
  }
}

export const addressOf = (name, id, part = "", parameters = {}) => {
  const present = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  const path = [name, id, part].filter(Boolean).map(encodeURIComponent).join("/");
  return `#/${path}${present.length ? `?${new URLSearchParams(present)}` : ""}`;
};
