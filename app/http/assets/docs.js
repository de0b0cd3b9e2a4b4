// The playground: Swagger UI with what an example needs first, a mark on operations that change things, a filter by words, and
// the theme of the dashboard.

import { setUpTheme } from "../dashboard/theme.js";
import { nameControls } from "./docs-access.js";
import { findOperation, matches, runSteps } from "./docs-steps.js";

const SCOPES_THAT_CHANGE = ["train", "admin"];

const changes = (method, scope) => method !== "get" && SCOPES_THAT_CHANGE.includes(scope);

// Shows what has to be there before the example of an operation works, and creates it at a click.
function FirstSteps({ React, operation, pathMethod, tryItOutEnabled, onTryoutClick, system }) {
  const h = React.createElement;
  const [message, say] = React.useState("");
  const [isRunning, setRunning] = React.useState(false);
  const steps = operation.get("x-first")?.toJS();
  if (!steps) return null;
  const spec = system.specSelectors.specJson().toJS();

  async function run() {
    setRunning(true);
    say("Running …");
    try {
      const known = await runSteps(spec, steps, (method, path, body) => send(system, method, path, body));
      const filled = [];
      for (const parameter of operation.get("parameters", [])) {
        const value = known.get(`${operation.get("operationId")} ${parameter.get("name")}`);
        if (value === undefined || parameter.get("in") !== "path") continue;
        system.specActions.changeParamByIdentity(pathMethod, parameter, String(value), false);
        filled.push(`${parameter.get("name")} is ${value}`);
      }
      if (!tryItOutEnabled) onTryoutClick();
      say(`Done: ${filled.join(", ")}. Press “Execute”.`);
    } catch (error) {
      say(error.message);
    } finally {
      setRunning(false);
    }
  }

  const links = steps.map(({ operationId }, i) => {
    const { operation: step } = findOperation(spec, operationId);
    const link = h("a", { href: `#/${encodeURIComponent(step.tags[0])}/${operationId}` }, step.summary);
    return h("li", { key: i }, link);
  });
  return h(
    "section",
    { className: "first-steps", "aria-label": "What the example needs" },
    h("p", null, "The example needs what these operations create, in this order:"),
    h("ol", null, links),
    h(
      "p",
      null,
      h("button", { type: "button", className: "btn", disabled: isRunning, onClick: run }, "Create it now"),
      " ",
      h("span", { role: "status" }, message),
    ),
  );
}

function send(system, method, path, body) {
  const key = system.authSelectors.authorized()?.getIn(["HTTPBearer", "value"]);
  return fetch(path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

const plugin = ({ React }) => {
  const h = React.createElement;
  return {
    fn: {
      opsFilter: (tags, phrase) =>
        tags
          .map((tag, name) =>
            tag.update("operations", (operations) =>
              operations.filter((one) => {
                const [summary, id] = ["summary", "operationId"].map((key) => one.getIn(["operation", key]));
                return matches(phrase, [name, one.get("method"), one.get("path"), summary, id]);
              }),
            ),
          )
          .filter((tag) => tag.get("operations").size),
    },
    components: {
      DeepLink: ({ text }) => text, // a link in a button; opening an operation changes the address
      ServersContainer: () => null, // there is one
      FilterContainer: ({ layoutActions, layoutSelectors }) => {
        const current = layoutSelectors.currentFilter();
        return h(
          "div",
          { className: "wrapper filter-words", role: "search" },
          h("h2", { className: "visually-hidden" }, "Operations"),
          h("label", { htmlFor: "filter-words" }, "Filter"),
          h("input", {
            id: "filter-words",
            type: "search",
            placeholder: "studies front",
            value: typeof current === "string" ? current : "",
            onChange: ({ target }) => layoutActions.updateFilter(target.value),
          }),
        );
      },
    },
    wrapComponents: {
      parameters: (Original, system) => (props) =>
        h(React.Fragment, null, h(FirstSteps, { ...props, React, system }), h(Original, props)),
      OperationSummaryPath: (Original, system) => (props) => {
        const [path, method] = ["path", "method"].map((key) => props.operationProps.get(key));
        const scope = system.specSelectors.specJson().getIn(["paths", path, method, "x-scope"]);
        return h(
          React.Fragment,
          null,
          h(Original, props),
          changes(method, scope) ? h("span", { className: "changes" }, "changes data") : null,
        );
      },
      OperationExtRow: (Original) => (props) => (props.xKey === "x-first" ? null : h(Original, props)),
    },
  };
};

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

addEventListener("rdw-theme", () => document.documentElement.classList.toggle("dark-mode", isDark()));
setUpTheme(document.getElementById("theme"));
nameControls(document.getElementById("swagger-ui"));
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  plugins: [plugin],
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  filter: true,
});
