// A config's recipe (`timm`) as Python that stock timm alone runs.

export function pythonOf(recipe) {
  const modules = new Set();
  const lines = [];
  const known = (name) => {
    modules.add(name.slice(0, name.lastIndexOf(".")));
    return name;
  };
  const given = (named) => Object.entries(named ?? {}).map(([name, value]) => `${name}=${written(value)}`);

  function written(value) {
    if (value === null) return "None";
    if (value === true) return "True";
    if (value === false) return "False";
    if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
    if (typeof value !== "object") return JSON.stringify(value);
    if ("class" in value) return known(value.class);
    if ("partial" in value) {
      modules.add("functools");
      return `functools.partial(${[known(value.partial), ...given(value.arguments)].join(", ")})`;
    }
    if (!("factory" in value)) return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${written(v)}`).join(", ")}}`;
    const call = `${known(value.factory)}(${given(value.arguments).join(", ")})`;
    if (!value.attributes) return call;
    const name = `part${lines.length}`;
    lines.push(`${name} = ${call}`);
    for (const [attribute, replaced] of Object.entries(value.attributes)) lines.push(`${name}.${attribute} = ${written(replaced)}`);
    return name;
  }

  lines.push(`network = ${written(recipe)}`);
  return [`import ${[...modules].sort().join(", ")}`, "", ...lines, ""].join("\n");
}
