// The buttons to rename, archive and delete a resource. A deletion first says what depends on it.

import { change, readTag, remove } from "./api.js";
import { askForValues, confirmAction } from "./dialog.js";
import { h } from "./dom.js";
import { integer } from "./format.js";

const MAX_LISTED = 5; // ids of a kind

// resource: { name, description, archived_at }; `title`: what it is, such as "study"; `changed` and `deleted` are called
// after a change, `fail` with an error. `subject` tells apart the buttons of several resources on a page.
export function manageButtons({ path, title, resource, subject = null, changed, deleted, fail }) {
  const button = (text, act) =>
    h("button", { type: "button", "aria-label": subject && `${text} ${subject}`, onclick: () => act().catch(fail) }, text);
  const update = async (values, headers) => changed(await change(path, values, headers, "PATCH"));

  async function rename() {
    const headers = await readTag(path);
    const name = h("input", { name: "name", value: resource.name ?? "", maxlength: 200, required: true, autocomplete: "off" });
    const description = h("input", { name: "description", value: resource.description ?? "", maxlength: 5000, autocomplete: "off" });
    const values = await askForValues(`Rename the ${title}`, [["Name", name], ["Description", description]], "Save");
    const changes = Object.entries(values ?? {}).filter(([key, value]) => value !== (resource[key] ?? ""));
    if (changes.length) await update(Object.fromEntries(changes), headers);
  }

  async function archive() {
    const isConfirmed = await confirmAction(
      `Archive the ${title}?`,
      `Lists leave it out, and it takes no new work. What was queued before goes on. It can be unarchived at any time.`,
      `Archive the ${title}`,
    );
    if (isConfirmed) await update({ archived: true });
  }

  async function erase() {
    const { dependent_counts: counts, dependents } = await remove(`${path}?dry_run=true`);
    const isConfirmed = await confirmAction(`Delete the ${title}?`, `${describeDependents(counts, dependents)} This cannot be undone.`, `Delete the ${title}`);
    if (!isConfirmed) return;
    await remove(Object.keys(counts).length ? `${path}?force=true` : path);
    deleted();
  }

  return [
    button("Rename", rename),
    resource.archived_at ? button("Unarchive", () => update({ archived: false })) : button("Archive", archive),
    button("Delete", erase),
  ];
}

function describeDependents(counts, dependents) {
  const kinds = Object.entries(counts);
  if (!kinds.length) return "Nothing depends on it.";
  const listed = kinds.map(([kind, count]) => {
    const ids = dependents[kind].slice(0, MAX_LISTED).map((id) => (/^[0-9a-f]{32}$/.test(id) ? id.slice(0, 8) : id));
    return `${integer(count)} ${kind} (${ids.join(", ")}${count > ids.length ? ", …" : ""})`;
  });
  return `These depend on it: ${listed.join("; ")}.`;
}
