// The recipes that have a name, by what a data set is for.

export const PRESETS = {
  classification: ["quick", "digits-smoke", "tinynet", "tinynet-ra"],
  detection: ["detection-quick"],
};
