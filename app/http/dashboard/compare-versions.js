// Versions of predictors side by side: curves, quality, and what the promotion gate said.

import { get, query } from "./api.js";
import { chart } from "./chart.js";
import { QUANTITIES, RATIO_AXIS, bandOf } from "./curve.js";
import { h } from "./dom.js";
import { dateTime, fixed, integer, percent } from "./format.js";
import { gateReport, standingBadges } from "./gate.js";
import { problemBox } from "./messages.js";
import { plainVersionName, versionName } from "./predictors.js";
import { addressOf } from "./route.js";
import { curvesCard, letter, lineStyle, sideBySide } from "./side-by-side.js";

const STEPS = 60;

export async function compareVersions(page, ids) {
  const { root, signal } = page;
  page.title("Comparison of predictors");
  const read = await Promise.all(ids.map((id) => readVersion(id, signal)));
  for (const { problem } of read.filter((r) => r.problem)) root.append(problemBox({ message: problem }));
  const versions = read.filter((r) => !r.problem);
  if (!versions.length) return;
  const names = versions.map(({ version }, i) => `${letter(i)}: ${plainVersionName(version)}`);
  const shown = QUANTITIES.filter(({ name }) =>
    versions.some(({ curve }) => curve.items.some((p) => p[name] !== null)),
  );
  const panels = shown.map((quantity) => ({
    quantity,
    ...chart({ title: quantity.title, x: RATIO_AXIS, y: { min: 0, ...quantity }, height: 260, signal }),
  }));
  root.append(
    h("section", { class: "card" }, h("h2", {}, "Versions"), versionTable(versions.map((v) => v.version))),
    curvesCard(panels),
    ...versions.map(({ version }, i) =>
      h("section", { class: "card" }, h("h2", {}, `Promotion gate, ${names[i]}`), gateReport(version.gate, names[i])),
    ),
  );
  for (const { quantity, show } of panels) {
    const series = versions.map(({ curve }, i) => ({
      label: names[i],
      ...lineStyle(i),
      line: true,
      items: bandOf(curve, quantity.name),
    }));
    show({ series: series.filter((s) => s.items.length) });
  }
}

async function readVersion(id, signal) {
  const path = `v1/predictors/${encodeURIComponent(id)}`;
  try {
    const [version, curve] = await Promise.all([
      get(path, signal),
      get(query(`${path}/curve`, { steps: STEPS }), signal),
    ]);
    return { version, curve };
  } catch (error) {
    if (!error.status) throw error;
    return { problem: `Predictor ${id}: ${error.message}` };
  }
}

function versionTable(versions) {
  const of = (value) => versions.map(value);
  const quality = (name, key, format) => of((v) => format(v.quality[name]?.[key]));
  const rows = [
    ["Version", of((v) => h("a", { href: addressOf("predictors", v.id) }, versionName(v)))],
    ["State", of(standingBadges)],
    ["Points", of((v) => integer(v.observations))],
    ...["r", "d", "accuracy"].flatMap((name) => [
      [`Error of ${name}`, quality(name, "rmse", (x) => fixed(x, 3))],
      [`${name} in the 90 % band`, quality(name, "coverage_90", (x) => percent(x, 0))],
      [`${name} in the 50 % band`, quality(name, "coverage_50", (x) => percent(x, 0))],
    ]),
    ...["r", "d", "accuracy"].map((name) => [
      `Skill of ${name}`,
      of(({ skill }) =>
        skill[name]
          ? `${percent(skill[name].explained, 0)} explained, ${skill[name].proven ? "proven" : "not proven"}`
          : "–",
      ),
    ]),
    [
      "Study",
      of((v) =>
        v.study_id ? h("a", { href: addressOf("studies", v.study_id, "predictor") }, v.study_id.slice(0, 8)) : "–",
      ),
    ],
    ["Provenance", of((v) => v.provenance)],
    ["Created", of((v) => dateTime(v.created_at))],
  ];
  return sideBySide(
    "Versions",
    versions.map((v, i) => letter(i)),
    rows,
  );
}
