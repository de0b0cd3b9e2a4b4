// The predictor of a study: refits, its versions, and how well they predicted the study's trainings.

import { change, getAll } from "./api.js";
import { calibration } from "./calibration.js";
import { h, options, uniqueId } from "./dom.js";
import { itemList } from "./item-list.js";
import { problemBox, whileDisabled } from "./messages.js";
import { toggleIn, versionList } from "./predictors.js";
import { addressOf } from "./route.js";

const ACTIVATION = [
  ["false", "not activated"],
  ["gate", "activated if it passes the gate"],
  ["true", "activated"],
];

export function predictorPart(page, path) {
  const message = h("div", { role: "status" });
  const refitted = h("div", { role: "status" });
  const failed = (error) => refitted.replaceChildren(problemBox(error));
  const refit = h(
    "button",
    { type: "button", class: "primary", onclick: () => whileDisabled(refit, fit, failed) },
    "Refit the predictor",
  );
  const activation = options(
    h("select", { id: uniqueId("activation"), "aria-label": "The new version is" }),
    ACTIVATION,
    "false",
  );
  const toggle = toggleIn(message, page.signal, () => read().catch(page.fail));
  const { path: all, ...versions } = versionList(
    "Versions of this study, newest first",
    "No version was fitted yet.",
    toggle,
  );
  const list = itemList(page, { ...versions, prefix: "version-" });
  const measured = calibration(page, `${path}/calibration`);
  const id = path.split("/").pop();
  let architecture = null;
  let shown = null;
  page.root.append(
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Refit"),
      h(
        "p",
        { class: "hint" },
        "Fits r(c) and d(c) on the front, and accuracy on all networks, as a new version. A version answers everybody while it is active, and requests with this study in any case.",
      ),
      h("p", { class: "actions" }, refit, h("span", { class: "inline" }, activation)),
      refitted,
    ),
    message,
    h("section", { class: "card" }, h("h2", {}, "Versions"), list.node),
    measured.node,
  );

  async function fit() {
    refitted.textContent = "Fitting …";
    const activate = { false: false, true: true }[activation.value] ?? activation.value;
    const created = await change(`${path}/predictors`, { activate });
    const standing = created.active ? "active" : "not active";
    refitted.replaceChildren(
      h(
        "p",
        {},
        `Version ${created.version} is fitted and ${standing}. ${created.gate?.reason ?? ""} `,
        h("a", { href: addressOf("predictors", created.id) }, "Curves and quality"),
      ),
    );
    await read();
  }

  async function read() {
    const items = await getAll(all, page.signal, { architecture });
    list.show(items.filter((p) => p.study_id === id));
    await measured.refresh();
  }

  return {
    async update({ study, version }) {
      if (shown === version) return;
      shown = version;
      architecture = study.architecture;
      await read();
    },
  };
}
