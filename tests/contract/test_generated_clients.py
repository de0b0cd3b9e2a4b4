"""Clients that three generators make from the served spec scale, train and wait against a real service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import RunningService, run_worker, serve_api
from tests.support import skip_without

pytestmark = pytest.mark.exhaustive

PYTHON_PACKAGES = ["openapi-python-client==0.29.1", "ruff>=0.8"]
NPM_PACKAGES = ["@hey-api/openapi-ts@0.95.0", "orval@7.13.2", "typescript@5.9.3"]
COMPILE = ["tsc", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "commonjs", "--outDir", "compiled"]

PYTHON_PROGRAM = """\
import json, sys, time

from generated import Client
from generated.api.scale import scale
from generated.api.trials import create_trial, read_trial
from generated.models import ManualMultipliers, MultipliersSpec, NewTrial, Problem, Recipe
from generated.models import ScaleRequest, ScaleResponse, Target, TrialDetail

client = Client(base_url=sys.argv[1])
scaled = scale.sync(client=client, body=ScaleRequest(architecture="small", target=Target(ratio=0.5)))
assert isinstance(scaled, ScaleResponse), scaled
refused = scale.sync(client=client, body=ScaleRequest(architecture="small", target=Target(flops=1)))
assert isinstance(refused, Problem), refused
manual = {"r": 0.5, "d": 0.6, "w": 0.7}
assert ManualMultipliers.from_dict(manual).to_dict() == manual
new_trial = NewTrial(
    architecture="small",
    dataset="digits",
    multipliers=MultipliersSpec.from_dict(scaled.multipliers.to_dict()),
    recipe=Recipe(epochs=1, batch_size=64),
    seed=1,
)
trial = create_trial.sync(client=client, body=new_trial)
assert isinstance(trial, TrialDetail), trial
while trial.state in ("queued", "running"):
    time.sleep(0.5)
    trial = read_trial.sync(trial.id, client=client)
    assert isinstance(trial, TrialDetail), trial
print(json.dumps({
    "scaled": scaled.to_dict(), "problem": refused.type_, "trial": trial.id, "state": trial.state,
    "accuracy": trial.result.accuracy,
}))
"""

TYPESCRIPT_MAIN = """
declare const process: { argv: string[]; exit(status: number): never };

async function main(): Promise<void> {
  const scaled = await scaleTo({ ratio: 0.5 });
  if ("detail" in scaled) throw new Error(scaled.detail);
  const refused = await scaleTo({ flops: 1 });
  if (!("detail" in refused)) throw new Error("a target that is out of range was accepted");
  let trial = await train(scaled.multipliers);
  while (trial.state === "queued" || trial.state === "running") {
    await new Promise((resolve) => setTimeout(resolve, 500));
    trial = await read(trial.id);
  }
  const accuracy = trial.result?.accuracy;
  console.log(
    JSON.stringify({ scaled, problem: refused.type, trial: trial.id, state: trial.state, accuracy }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
"""

HEY_API_PROGRAM = """\
import { createTrial, readTrial, scale } from "./generated";
import { client } from "./generated/client.gen";
import type { Problem, ScaleResponse, SolvedMultipliers, Target, TrialDetail } from "./generated";

client.setConfig({ baseUrl: process.argv[2] });

async function scaleTo(target: Target): Promise<ScaleResponse | Problem> {
  const { data, error } = await scale({ body: { architecture: "small", target } });
  return data ?? (error as Problem);
}

async function train(multipliers: SolvedMultipliers): Promise<TrialDetail> {
  const recipe = { epochs: 1, batch_size: 64 };
  const body = { architecture: "small", dataset: "digits", multipliers, recipe, seed: 2 };
  const { data } = await createTrial({ body, throwOnError: true });
  if (!("state" in data)) throw new Error("this is an estimate");
  return data;
}

async function read(id: string): Promise<TrialDetail> {
  return (await readTrial({ path: { id }, throwOnError: true })).data;
}
"""

ORVAL_PROGRAM = """\
import { createTrial, readTrial, scale } from "./generated/rdw";
import type { Problem, ScaleResponse, SolvedMultipliers, Target, TrialDetail } from "./generated/rdw";

async function scaleTo(target: Target): Promise<ScaleResponse | Problem> {
  return (await scale({ architecture: "small", target })).data;
}

async function train(multipliers: SolvedMultipliers): Promise<TrialDetail> {
  const recipe = { epochs: 1, batch_size: 64 };
  const response = await createTrial({ architecture: "small", dataset: "digits", multipliers, recipe, seed: 3 });
  if (response.status !== 202 || !("state" in response.data)) throw new Error(`status ${response.status}`);
  return response.data;
}

async function read(id: string): Promise<TrialDetail> {
  const response = await readTrial(id);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return response.data;
}
"""


def run(command: list[str], folder: Path, timeout: float = 300) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service, run_worker(service):
        yield service


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with openapi-python-client."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES]
    if subprocess.run(command, capture_output=True, timeout=300).returncode != 0:
        skip_without("PyPI, for openapi-python-client")
    return python


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generators that npm offers."""
    if shutil.which("npx") is None:
        skip_without("npx, for the generators of TypeScript clients")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--silent", "--no-save", *NPM_PACKAGES]
    if subprocess.run(command, cwd=folder, capture_output=True, timeout=300).returncode != 0:
        skip_without("the npm registry, for the generators of TypeScript clients")
    return folder


def test_client_of_openapi_python_client_trains(service: RunningService, python: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["openapi-python-client", "generate", "--meta", "none", "--output-path", "generated"]
    ran = subprocess.run(
        [str(python.parent / command[0]), *command[1:], "--url", f"{service.url}/openapi.json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr

    check(service, run([str(python), "-c", PYTHON_PROGRAM, service.url], tmp_path))


def test_client_of_hey_api_trains(service: RunningService, node_project: Path) -> None:
    folder = project(node_project, "hey-api")
    run(["npx", "openapi-ts", "--input", f"{service.url}/openapi.json", "--output", "generated", "--silent"], folder)

    check(service, run_typescript(folder, HEY_API_PROGRAM, service.url))


def test_client_of_orval_trains(service: RunningService, node_project: Path) -> None:
    folder = project(node_project, "orval")
    output = {"target": "generated/rdw.ts", "client": "fetch", "baseUrl": service.url}
    configuration = {"rdw": {"input": f"{service.url}/openapi.json", "output": output}}
    (folder / "orval.config.js").write_text(f"module.exports = {json.dumps(configuration)};")
    run(["npx", "orval", "--config", "orval.config.js"], folder)

    check(service, run_typescript(folder, ORVAL_PROGRAM, service.url))


def project(node_project: Path, name: str) -> Path:
    """A folder below that of the packages, where npx and the compiler look for them."""
    folder = node_project / name
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}')
    return folder


def run_typescript(folder: Path, program: str, url: str) -> str:
    """Type-check, compile and run a program."""
    (folder / "program.ts").write_text(program + TYPESCRIPT_MAIN)
    run(["npx", *COMPILE, "program.ts"], folder)
    return run(["node", "compiled/program.js", url], folder)


def check(service: RunningService, printed: str) -> None:
    """What the generated client read is what the service has."""
    read: dict[str, Any] = json.loads(printed)
    with httpx.Client(base_url=service.url) as client:
        scaled = client.post("/v1/scale", json={"architecture": "small", "target": {"ratio": 0.5}}).json()
        trial = client.get(f"/v1/trials/{read['trial']}").json()

    assert read["scaled"]["multipliers"] == scaled["multipliers"]
    assert read["problem"] == "/problems/target-out-of-range"
    assert read["state"] == trial["state"] == "completed"
    assert read["accuracy"] == trial["result"]["accuracy"]
    assert trial["multipliers"]["d"] == scaled["multipliers"]["d"]
