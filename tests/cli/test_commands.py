"""The commands that ask a service: what they answer to people and to programs, and how they end."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Rdw
from tests.serving import Served, served
from tests.support import SMALL, free_port

TRAIN = ("train", "small", "--dataset", "digits", "--recipe", "digits-smoke")


@pytest.mark.parametrize("written", ["200M", "0.2G", "200e6", "200000000", "200_000_000"])
def test_budgets_are_written_as_people_do(rdw: Rdw, written: str) -> None:
    assert rdw.json("scale", "efficientnet_b0", "--flops", written)["target_flops"] == 200_000_000


@pytest.mark.parametrize("written", ["many", "-3", "0", "nan", "inf", "M"])
def test_what_is_no_number_is_a_mistake_of_usage(rdw: Rdw, written: str) -> None:
    out, err = rdw.both("scale", "efficientnet_b0", f"--flops={written}", code=2)
    assert out == ""
    assert "--flops" in err


def test_json_is_what_the_api_answers(rdw: Rdw, service: Served) -> None:
    body = {
        "architecture": "efficientnet_b0",
        "target": {"ratio": 0.3},
        "rule": "compound",
        "constraints": {"resolution": {"multiple_of": 32}, "max_params": 4_000_000},
        "budget": {"mode": "at_most"},
    }
    asked = ("--ratio", ".3", "--rule", "compound", "--multiple-of", "32", "--max-params", "4M", "--mode", "at_most")

    assert rdw.json("scale", "efficientnet_b0", *asked) == httpx.post(f"{service.url}/v1/scale", json=body).json()


def test_a_table_is_aligned_and_has_no_colour_where_nobody_sees_it(rdw: Rdw) -> None:
    lines = rdw("family", "efficientnet_b0", "--ratio", ".52", ".258").splitlines()

    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert "188" in lines[1]
    assert "99.5M" in lines[2]
    assert not any("\033" in line for line in lines)


def test_a_network_goes_to_a_file_and_from_it(rdw: Rdw, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    found = json.loads(rdw("scale", "small", "--ratio", ".5", "--config", str(file), "--json"))

    assert json.loads(file.read_text()) == found["config"]
    assert rdw.json("cost", "--config", str(file))["cost"]["flops"] == found["cost"]["flops"]
    trial = rdw.json("train", "--config", str(file), "--dataset", "digits", "--recipe", "digits-smoke")
    assert trial["flops"] == found["cost"]["flops"]


def test_timm_builds_it_so(rdw: Rdw) -> None:
    assert "timm" in rdw("scale", "efficientnet_b0", "--flops", "200M", "--timm")


def test_rules_beside_each_other_say_why_one_has_no_answer(rdw: Rdw) -> None:
    out, err = rdw.both("compare", "small", "--ratio", ".6", "--rule", "width", "surrogate")

    assert [line.split()[0] for line in out.splitlines()] == ["rule", "width", "surrogate"]
    assert err.startswith("surrogate: ")


def test_a_dry_run_starts_nothing(rdw: Rdw) -> None:
    before = len(rdw.json("trials", "list"))

    assert rdw.json(*TRAIN, "--seed", "9", "--dry-run")["estimate"]["seconds"] > 0
    assert rdw.json(*TRAIN, "--ratio", ".6", "--dry-run")["estimate"]["seconds"] > 0
    assert "of one worker" in rdw(*TRAIN, "--dry-run")
    assert len(rdw.json("trials", "list")) == before


def test_a_training_from_beginning_to_end(rdw: Rdw, service: Served) -> None:
    trial = rdw.json(*TRAIN, "--ratio", ".7", "--seed", "3")["trial"]["id"]
    assert rdw.json("trials", "cancel", trial)["state"] == "cancelled"
    out, err = rdw.both("trials", "watch", trial, code=1)
    assert out == ""
    assert f"rdw trials retry {trial}" in err
    assert rdw.json("trials", "retry", trial)["state"] == "queued"
    service.finish(trial)

    out, err = rdw.both("trials", "watch", trial)
    assert "90.00%" in out
    assert err.split() == ["queued", "cancelled", "queued", "running", "completed"]
    assert rdw.json("trials", "watch", trial)["result"]["accuracy"] == 0.9
    assert trial in [one["id"] for one in rdw.json("trials", "list", "--state", "completed")]
    rdw("trials", "download", trial, "log.csv", code=1)


def test_interrupted_it_stops_watching_and_says_how_to_go_on(service: Served) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *TRAIN, "--seed", "11", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=service.environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )
    assert watching.stderr is not None
    assert watching.stderr.readline() == "queued\n"
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=60)

    assert watching.returncode == 130
    assert out == ""
    assert "rdw trials watch " in err and "rdw trials cancel " in err
    trial = err.partition("rdw trials cancel ")[2].split()[0]
    assert httpx.get(f"{service.url}/v1/trials/{trial}").json()["state"] == "queued"


def test_on_a_terminal_there_is_colour_and_no_color_turns_it_off(service: Served) -> None:
    def shown(**more: str) -> bytes:
        ours, theirs = pty.openpty()
        environment = {**service.environment, "TERM": "xterm", **more}
        environment.pop("NO_COLOR", None) if not more else None
        subprocess.run(
            [sys.executable, "-m", "app.cli", "architectures", "--family", "mobilenetv1"],
            stdout=theirs, check=True, env=environment,
        )  # fmt: skip
        os.close(theirs)
        found = os.read(ours, 10_000)
        os.close(ours)
        return found

    assert b"\033[" in shown()
    assert b"\033[" not in shown(NO_COLOR="1")


def test_on_a_terminal_a_training_is_a_bar(service: Served) -> None:
    trial = httpx.post(
        f"{service.url}/v1/trials",
        json={"architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "seed": 12},
    ).json()["id"]
    with service.work() as work:
        done = {"phase": "training", "epoch": 1, "epochs": 2, "step": 0, "steps": 21, "train_loss": 1.5}
        work.events.record(trial, "progress", done)
        work.commit()
    service.finish(trial)
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "app.cli", "trials", "watch", trial],
        stderr=theirs, stdout=subprocess.DEVNULL, check=True, env={**service.environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)

    assert f"{'█' * 12}{'░' * 12}  50%  training  epoch 1 of 2  loss 1.500" in shown
    assert shown.count("\n") == 1  # one line, written over


def test_who_has_no_key_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rdw = Rdw(capsys)
    with served(tmp_path, api_keys=hashlib.sha256(b"the key").hexdigest()) as closed:
        out, err = rdw.both("queue", "--url", closed.url, code=4)
        assert out == ""
        assert "RDW_API_KEY" in err
        assert json.loads(rdw("queue", "--url", closed.url, "--key", "the key", "--json"))["queued"] == 0


def test_a_study_by_hand(rdw: Rdw, tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"ratio": [0.3, 1.0]}')
    study = rdw.json(
        "study", "create", "mine", "small", "--dataset", "digits", "--trials", "4", "--space", str(space), "--start"
    )["id"]
    for step, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled"), ("show", "cancelled")):
        assert rdw.json("study", step, study)["state"] == state
    assert "mine" in rdw("study", "list")
    other = rdw.json("study", "create", "asked", "small", "--dataset", "digits", "--trials", "4")["id"]
    first, second = (one["id"] for one in rdw.json("study", "ask", other, "--n", "2"))
    assert rdw("study", "tell", other, first, "--accuracy", ".8").startswith("observation ")
    assert rdw("study", "tell", other, second, "--infeasible", "too large") == "noted\n"
    rdw("study", "tell", other, second, code=2)
    table = tmp_path / "results.csv"
    table.write_text("r,d,w,accuracy\n1,1,1,.9\n.8,1,.8,.85\n.6,1,.6,.8\n.5,1,.5,.7\n")
    assert rdw.json("study", "import", other, str(table)) == {"imported": 4}
    rdw("study", "import", other, str(tmp_path / "none.csv"), code=2)
    assert len(rdw("study", "export", other).splitlines()) == 6
    assert len(rdw.json("study", "export", other)) == 5
    out, err = rdw.both("study", "export", other, "--json", "--to", str(tmp_path / "all.json"))
    assert (out, err) == ("", f"{tmp_path}/all.json\n")
    assert json.loads((tmp_path / "all.json").read_text()) == rdw.json("study", "export", other)
    bad = rdw("study", "tell", other, "--r", ".9", "--d", "1", "--w", ".4", "--accuracy", "1").split()[1]
    assert rdw("study", "retract", other, bad, "--reason", "a slip") == f"observation {bad} counts no more\n"
    assert rdw.json("study", "export", other)[-1]["retraction"] == "a slip"
    assert [line.split()[0] for line in rdw("study", "correlations", other).splitlines()] == ["pearson", "r", "d", "w"]
    assert set(rdw.json("study", "correlations", other, "--k", "6")) >= {"r", "d", "w"}
    assert len(rdw("study", "front", other).splitlines()) == 1 + len(rdw.json("study", "front", other)["items"])
    rdw("study", "figure", other, "accuracy-against-flops", "--to", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    out, err = rdw.both("study", "refit", other, "--k", "8", "--gate")
    assert "predictor" in out
    assert err.startswith("The gate: ")
    predictor = rdw.json("study", "refit", other, "--k", "8")["id"]
    assert rdw.json("predictor", "activate", predictor)["active"]
    assert "known from" in rdw.both("predictor", "curve", predictor)[1].lower()
    assert predictor in rdw("predictor", "list")
    assert "yes" in rdw("predictor", "show", predictor)


def test_a_study_may_halve(rdw: Rdw) -> None:
    created = (
        "study",
        "create",
        "halved",
        "small",
        "--dataset",
        "digits",
        "--halving",
        "--compound",
        "2",
        "--seeds",
        "1",
    )
    study = rdw.json(*created)["id"]

    options = rdw.json("study", "show", study)["options"]
    assert (options["halving"], options["compound"], options["seeds"]) == ({"eta": 3, "least_epochs": 1}, 2, 1)


def test_a_baseline_of_your_own_is_added(rdw: Rdw, service: Served, tmp_path: Path) -> None:
    spec = tmp_path / "mine.json"
    spec.write_text(json.dumps({**SMALL, "name": "mine"}))
    assert "mine" in rdw("architectures", "add", str(spec))
    assert rdw.json("architectures", "add", str(spec))["name"] == "mine"
    assert json.loads(rdw("architectures", "--json", "add", str(spec)))["name"] == "mine"
    assert "registered" in rdw("architectures", "--family", "efficientnet").splitlines()[-1]
    assert rdw.json("cost", "mine")["cost"]["flops"] > 0
    spec.write_text("{}")
    assert "/name" in rdw.both("architectures", "add", str(spec), code=2)[1]
    assert "no JSON" in rdw.both("architectures", "add", __file__, code=2)[1]
    assert (
        "rdw serve"
        in rdw.both("architectures", "--url", f"http://127.0.0.1:{free_port()}", "add", str(spec), code=3)[1]
    )


def test_data_sets_workers_and_the_queue(rdw: Rdw, service: Served) -> None:
    folder = service.settings.data_dir / "datasets" / "pets"
    from PIL import Image

    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for n in range(10):
            Image.new("RGB", (8, 8), (n, 20 * n, len(name))).save(folder / name / f"{n}.png")
    assert rdw.json("datasets", "add", "pets", "pets", "--native-px", "8")["num_classes"] == 2
    assert "pets" in rdw("datasets", "list")
    out, err = rdw.both("workers")
    assert out == "none\n"
    assert "rdw worker" in err
    assert rdw("queue").split()[:5] == ["queued", "paused", "running", "workers", "wait"]


def test_nobody_there_is_said_with_what_to_do(rdw: Rdw) -> None:
    out, err = rdw.both("queue", "--url", f"http://127.0.0.1:{free_port()}", code=3)

    assert out == ""
    assert "rdw serve" in err and "RDW_URL" in err
    assert "Traceback" not in err


def test_problems_are_in_words_or_as_documents(rdw: Rdw) -> None:
    out, err = rdw.both("scale", "efficientnet_b0", "--flops", "3", code=2)
    assert out == ""
    assert "are reachable" in err

    out, err = rdw.both("scale", "efficientnet_b0", "--flops", "3", "--json", code=2)
    assert out == ""
    assert json.loads(err)["type"] == "/problems/target-out-of-range"

    assert "no trial" in rdw.both("trials", "show", "0" * 32, code=1)[1]
    assert "http" in rdw.both("queue", "--url", "here", code=2)[1]


def test_a_file_that_cannot_be_written_is_named(rdw: Rdw, tmp_path: Path) -> None:
    err = rdw.both("scale", "small", "--ratio", ".5", "--config", str(tmp_path / "none" / "n.json"), code=1)[1]

    assert err == f"{tmp_path}/none/n.json: No such file or directory\n"


def test_who_reads_may_have_had_enough(service: Served) -> None:
    rdw = f'"{sys.executable}" -m app.cli architectures'
    ran = subprocess.run(["bash", "-c", f"{rdw} | true"], capture_output=True, text=True, env=service.environment)

    assert ran.stderr == ""


def test_one_client_command_starts_without_the_server_s_packages(service: Served) -> None:
    program = """
import sys
from app.cli import main
main(["scale", "efficientnet_b0", "--flops", "200M"])
print(sorted({"fastapi", "sqlalchemy", "pydantic", "numpy", "celery", "sklearn", "torch"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=service.environment)

    assert ran.stdout.splitlines()[-1] == "[]", ran.stdout + ran.stderr


def test_what_can_be_chosen_is_what_the_service_knows() -> None:
    """The commands list it themselves, so that they start without the server's packages."""
    from app import datasets, figures, recipes, typefaces
    from app.cli import offering, scale, study, trials
    from app.scaling.recommend import RULES
    from app.services.artifacts import Artifact

    assert scale.RULES == RULES
    assert tuple(figures.FIGURES) == study.FIGURES
    assert set(offering.RECIPES) == set(recipes.PRESETS)
    assert set(offering.DATASETS) == {*datasets.BUILT_IN, typefaces.NAME}
    assert set(trials.FILES) == {artifact.value for artifact in Artifact}


def test_help_lists_the_exit_codes(rdw: Rdw) -> None:
    shown = rdw("--help")
    assert all(f"\n  {code}  " in shown for code in range(5))
    assert "others on this machine see" in " ".join(rdw("scale", "--help").split())
