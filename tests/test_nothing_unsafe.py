"""Nothing that comes from outside is run or made into objects: by the sources, and by what is really sent."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from app.jobs import QUEUE, TRAIN
from tests.failures.service import running
from tests.support import SMALL

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("app", "worker", "migrations") for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "np.load", "numpy.load"}
SAFE = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def unsafe(source: str) -> list[str]:
    """What runs code that is data, or makes objects of it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [name for name in names if name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            said = {one.arg: one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)}
            option, value = SAFE.get(name, (None, None))
            if name in CALLS and (option is None or said.get(option) is not value):
                found.append(name)
            if said.get("shell"):
                found.append(f"{name} by a shell")
    return found


def test_no_source_runs_data_or_makes_objects_of_it() -> None:
    assert {str(path): found for path in SOURCES if (found := unsafe(path.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "eval(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_what_is_unsafe_is_found(source: str) -> None:
    assert unsafe(source) != []


class Written:
    """Unpickled, it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_a_pickled_message_is_refused_and_the_worker_lives_on(tmp_path: Path, redis: str) -> None:
    evil = tmp_path / "evil"
    body = pickle.dumps(([Written(evil)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}))
    pickle.loads(body)
    assert evil.exists()  # it would work
    evil.unlink()
    with running(tmp_path, RDW_WORKERS="1", RDW_DATABASE_URL="", RDW_BROKER_URL=redis) as service:
        with Connection(redis) as connection:
            connection.Producer().publish(
                body,
                exchange=Exchange(QUEUE, type="direct"),
                routing_key=QUEUE,
                declare=[Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE)],
                content_type="application/x-python-serialize",
                content_encoding="binary",
                headers={"task": TRAIN, "id": "1", "lang": "py"},
            )
        service.post("/v1/architectures", SMALL)
        trial = service.post("/v1/trials", {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"})
        assert service.wait_for_trial(trial["id"])["state"] == "completed"
        assert len(service.children("celery")) == 1
    assert not evil.exists()
    assert "pickle" in service.log()
