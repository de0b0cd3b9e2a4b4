// Returns the presets for a task. Detection presets start with `detection-`.

export const presetsFor = (task, presets) =>
  presets.filter((name) => name.startsWith("detection-") === (task === "detection"));
