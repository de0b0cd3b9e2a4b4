// What differs between several values of JSON.

// Returns { path, values, differs } for each path to a plain value in any of the objects; a missing value is undefined.
export function differences(objects) {
  const flat = objects.map((object) => new Map(leaves(object)));
  const paths = [...new Set(flat.flatMap((entries) => [...entries.keys()]))];
  return paths.map((path) => {
    const values = flat.map((entries) => entries.get(path));
    return { path, values, differs: values.some((value) => value !== values[0]) };
  });
}

function leaves(value, path = "") {
  if (value === null || typeof value !== "object") return [[path, value]];
  const entries = Object.entries(value);
  if (!entries.length) return [[path, Array.isArray(value) ? "[]" : "{}"]];
  return entries.flatMap(([name, inner]) => leaves(inner, path ? `${path}.${name}` : name));
}
