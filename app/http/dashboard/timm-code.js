// Converts the `timm` recipe of a config to Python code.

export function toPython(recipe) {
  const modules = new Set();
  const lines = [];
  const addImport = (name) => {
    modules.add(name.slice(0, name.lastIndexOf(".")));
    return name;
  };
  const keywordArguments = (named) => Object.entries(named ?? {}).map(([name, value]) => `${name}=${toExpression(value)}`);

  function toExpression(value) {
    if (value === null) return "None";
    if (value === true) return "True";
    if (value === false) return "False";
    if (Array.isArray(value)) return `[${value.map(toExpression).join(", ")}]`;
    if (typeof value !== "object") return JSON.stringify(value);
    if ("class" in value) return addImport(value.class);
    if ("partial" in value) {
      modules.add("functools");
      return `functools.partial(${[addImport(value.partial), ...keywordArguments(value.arguments)].join(", ")})`;
    }
    if (!("factory" in value)) return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${toExpression(v)}`).join(", ")}}`;
    const call = `${addImport(value.factory)}(${keywordArguments(value.arguments).join(", ")})`;
    if (!value.attributes) return call;
    const name = `part${lines.length}`;
    lines.push(`${name} = ${call}`);
    for (const [attribute, replaced] of Object.entries(value.attributes)) lines.push(`${name}.${attribute} = ${toExpression(replaced)}`);
    return name;
  }

  lines.push(`network = ${toExpression(recipe)}`);
  return [`import ${[...modules].sort().join(", ")}`, "", ...lines, ""].join("\n");
}
