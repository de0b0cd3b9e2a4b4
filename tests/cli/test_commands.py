"""Commands that call a service: their output for people and programs, and their exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Rdw
from tests.serving import RunningService, serve_api
from tests.support import SMALL, find_free_port

TRAIN = ("train", "small", "--dataset", "digits", "--recipe", "digits-smoke")


@pytest.mark.parametrize("text", ["200M", "0.2G", "200e6", "200000000", "200_000_000"])
def test_flops_option_accepts_units_and_exponents(rdw: Rdw, text: str) -> None:
    assert rdw.json("scale", "efficientnet_b0", "--flops", text)["target_flops"] == 200_000_000


def test_small_baseline_is_scaled_by_its_recorded_studies(rdw: Rdw) -> None:
    lines = rdw("scale", "small-mbconv", "--ratio", ".3").splitlines()

    assert lines[0].split() == ["network", "small-mbconv", "by", "surrogate"]
    assert lines[-1].split() == ["predictor", "small-mbconv.typefaces.recorded,", "version", "1"]


def test_data_set_decides_the_classes_that_are_counted(rdw: Rdw) -> None:
    budget = ("--flops", "1.2M", "--mode", "at_most")
    scaled = rdw.json("scale", "tinynet_e", *budget, "--dataset", "digits")
    cost = rdw.json("cost", "tinynet_e", "--num-classes", "10", "--in-chans", "1")

    assert scaled["num_classes"] == 10
    assert scaled["cost"]["flops"] <= 1_200_000
    assert (cost["num_classes"], cost["in_chans"]) == (10, 1)


def test_printed_multipliers_give_the_same_network(rdw: Rdw, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    lines = rdw("scale", "efficientnet_b0", "--ratio", "3", "--px", "640", "--config", str(file)).splitlines()
    printed = {name: value.split()[0] for name, value in (line.split(None, 1) for line in lines if " " in line)}
    again = rdw.json("cost", "efficientnet_b0", "--r", printed["r"], "--d", printed["d"], "--w", printed["w"])["config"]
    config = json.loads(file.read_text())

    assert again["resolution"] == config["resolution"] == 640
    assert [stage["repeats"] for stage in again["stages"]] == [stage["repeats"] for stage in config["stages"]]


@pytest.mark.parametrize("text", ["many", "-3", "0", "nan", "inf", "M"])
def test_invalid_flops_is_a_usage_error(rdw: Rdw, text: str) -> None:
    out, err = rdw.both("scale", "efficientnet_b0", f"--flops={text}", code=2)
    assert out == ""
    assert "--flops" in err


def test_json_output_equals_the_api_response(rdw: Rdw, service: RunningService) -> None:
    body = {
        "architecture": "efficientnet_b0",
        "target": {"ratio": 0.3},
        "rule": "compound",
        "constraints": {"resolution": {"multiple_of": 32}, "max_params": 4_000_000},
        "budget": {"mode": "at_most"},
    }
    asked = ("--ratio", ".3", "--rule", "compound", "--multiple-of", "32", "--max-params", "4M", "--mode", "at_most")

    assert rdw.json("scale", "efficientnet_b0", *asked) == httpx.post(f"{service.url}/v1/scale", json=body).json()


def test_precision_counts_target_and_limits_in_bytes(rdw: Rdw, service: RunningService) -> None:
    body = {
        "architecture": "mobilenetv2_100",
        "target": {"weights_bytes": 1_800_000, "precision": "int8"},
        "constraints": {"max_flops": 60_000_000, "max_activation_bytes": 320_000, "precision": "int8"},
        "budget": {"mode": "at_most"},
    }
    asked = ("--weights-bytes", "1.8M", "--max-flops", "60M", "--max-activation-bytes", "320K", "--mode", "at_most")

    answer = rdw.json("scale", "mobilenetv2_100", *asked, "--precision", "int8")
    assert answer == httpx.post(f"{service.url}/v1/scale", json=body).json()


def test_family_names_the_units_of_its_targets(rdw: Rdw) -> None:
    budgets = ("--flops", "200M", "--params", "3M", "2M", "--activation-bytes", "500K", "--precision", "int8")
    lines = rdw("family", "efficientnet_b0", *budgets).splitlines()

    starts = ("200M ", "3M params ", "2M params ", "500K B activations ")
    assert all(line.startswith(start) for line, start in zip(lines[1:], starts, strict=True))


def test_two_targets_are_a_usage_error(rdw: Rdw) -> None:
    _, err = rdw.both("scale", "efficientnet_b0", "--flops", "200M", "--params", "2M", code=2)

    assert "--flops and --params cannot be combined" in err


def test_piped_table_is_aligned_without_colour(rdw: Rdw) -> None:
    lines = rdw("family", "efficientnet_b0", "--ratio", ".52", ".258").splitlines()

    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert "188" in lines[1]
    assert "99.5M" in lines[2]
    assert not any("\033" in line for line in lines)


def test_config_file_round_trips_between_commands(rdw: Rdw, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    found = json.loads(rdw("scale", "small", "--ratio", ".5", "--config", str(file), "--json"))

    assert json.loads(file.read_text()) == found["config"]
    assert rdw.json("cost", "--config", str(file))["cost"]["flops"] == found["cost"]["flops"]
    trial = rdw.json("train", "--config", str(file), "--dataset", "digits", "--recipe", "digits-smoke")
    assert trial["flops"] == found["cost"]["flops"]


def test_timm_flag_prints_how_timm_builds_it(rdw: Rdw) -> None:
    assert "timm" in rdw("scale", "efficientnet_b0", "--flops", "200M", "--timm")


def test_compare_reports_why_a_rule_has_no_answer(rdw: Rdw) -> None:
    out, err = rdw.both("compare", "small", "--ratio", ".6", "--rule", "width", "surrogate")

    assert [line.split()[0] for line in out.splitlines()] == ["rule", "width", "surrogate"]
    assert err.startswith("surrogate: ")


def test_crop_pct_option_overrides_the_recipe(rdw: Rdw, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"epochs": 1, "crop_pct": 0.7}))
    train, crop = ("train", "small", "--dataset", "digits"), ("--crop-pct", ".9")

    recipes = [
        rdw.json("trials", "show", rdw.json(*train, *recipe, *crop)["id"])["recipe"]
        for recipe in (("--recipe", "digits-smoke"), ("--recipe", str(file)), ())
    ]

    assert [(recipe["epochs"], recipe["crop_pct"]) for recipe in recipes] == [(2, 0.9), (1, 0.9), (4, 0.9)]
    _, error = rdw.both(*train, "--recipe", "unknown", *crop, code=2)
    assert "unknown" in error and "digits-smoke" in error


def test_sources_of_weights_override_the_recipe(rdw: Rdw) -> None:
    train = ("train", "small", "--dataset", "digits", "--recipe", "digits-smoke")

    recipe = rdw.json(*train, "--init", "scratch", "--seed", "5")["recipe"]

    assert (recipe["epochs"], recipe["init"]) == (2, "scratch")
    _, error = rdw.both(*train, "--distill", "timm:resnet18", code=2)
    assert "timm's weights of resnet18 have 1,000 classes, digits has 10" in error
    _, error = rdw.both(*train, "--init", "weights.safetensors", code=2)
    assert "trial:ID, file:PATH, timm:NAME" in error


def test_dry_run_starts_no_training(rdw: Rdw) -> None:
    before = len(rdw.json("trials", "list"))

    assert rdw.json(*TRAIN, "--seed", "9", "--dry-run")["estimate"]["seconds"] > 0
    assert rdw.json(*TRAIN, "--ratio", ".6", "--dry-run")["estimate"]["seconds"] > 0
    assert "of one worker" in rdw(*TRAIN, "--dry-run")
    assert len(rdw.json("trials", "list")) == before


def test_training_can_be_cancelled_retried_and_watched(rdw: Rdw, service: RunningService) -> None:
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


def test_ctrl_c_stops_watching_but_not_the_training(service: RunningService) -> None:
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


def test_terminal_output_has_colour_unless_no_color_is_set(service: RunningService) -> None:
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


def test_terminal_shows_a_progress_bar(service: RunningService) -> None:
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

    plain = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"━{12}.━* +50%  training  epoch 1 of 2  loss 1.500", plain), plain
    assert shown.count("\n") == 1  # one line that is rewritten


def test_missing_key_exits_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rdw = Rdw(capsys)
    with serve_api(tmp_path, api_keys=hashlib.sha256(b"the key").hexdigest()) as closed:
        out, err = rdw.both("queue", "--url", closed.url, code=4)
        assert out == ""
        assert "RDW_API_KEY" in err
        assert json.loads(rdw("queue", "--url", closed.url, "--key", "the key", "--json"))["queued"] == 0


def test_study_commands_work_from_create_to_refit(rdw: Rdw, tmp_path: Path) -> None:
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
    assert rdw("study", "tell", other, second, "--infeasible", "too large") == "recorded\n"
    rdw("study", "tell", other, second, code=2)
    table = tmp_path / "results.csv"
    table.write_text("r,d,w,accuracy\n1,1,1,.9\n.8,1,.8,.85\n.6,1,.6,.8\n.5,1,.5,.7\n")
    assert rdw.json("study", "import", other, str(table))["imported"] == 4
    rdw("study", "import", other, str(tmp_path / "none.csv"), code=2)
    assert len(rdw("study", "export", other).splitlines()) == 6
    assert len(rdw.json("study", "export", other)) == 5
    out, err = rdw.both("study", "export", other, "--json", "--to", str(tmp_path / "all.json"))
    assert (out, err) == ("", f"{tmp_path}/all.json\n")
    assert json.loads((tmp_path / "all.json").read_text()) == rdw.json("study", "export", other)
    bad = rdw("study", "tell", other, "--r", ".9", "--d", "1", "--w", ".4", "--accuracy", "1").split()[1]
    assert rdw("study", "retract", other, bad, "--reason", "a slip") == f"observation {bad} is retracted\n"
    assert rdw.json("study", "export", other)[-1]["retraction_reason"] == "a slip"
    assert [line.split()[0] for line in rdw("study", "correlations", other).splitlines()] == ["pearson", "r", "d", "w"]
    assert set(rdw.json("study", "correlations", other, "--k", "6")) >= {"r", "d", "w"}
    assert len(rdw("study", "front", other).splitlines()) == 1 + len(rdw.json("study", "front", other)["items"])
    rdw("study", "figure", other, "accuracy-against-flops", "--to", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    out, err = rdw.both("study", "refit", other, "--k", "8", "--gate")
    assert "predictor" in out
    assert err.startswith("Gate: ")
    predictor = rdw.json("study", "refit", other, "--k", "8")["id"]
    assert rdw.json("predictor", "activate", predictor)["active"]
    assert "extrapolated" in rdw.both("predictor", "curve", predictor)[1]
    assert predictor in rdw("predictor", "list")
    assert "yes" in rdw("predictor", "show", predictor)


def test_study_create_accepts_halving(rdw: Rdw) -> None:
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
    assert (options["halving"], options["compound"], options["seeds"]) == ({"eta": 3, "min_epochs": 1}, 2, 1)


def test_own_baseline_can_be_registered(rdw: Rdw, service: RunningService, tmp_path: Path) -> None:
    spec = tmp_path / "mine.json"
    spec.write_text(json.dumps({**SMALL, "name": "mine"}))
    assert "mine" in rdw("architectures", "add", str(spec))
    assert rdw.json("architectures", "add", str(spec))["name"] == "mine"
    assert json.loads(rdw("architectures", "--json", "add", str(spec)))["name"] == "mine"
    assert "registered" in rdw("architectures", "--family", "efficientnet").splitlines()[-1]
    assert rdw.json("cost", "mine")["cost"]["flops"] > 0
    spec.write_text("{}")
    assert "/name" in rdw.both("architectures", "add", str(spec), code=2)[1]
    assert "not valid JSON" in rdw.both("architectures", "add", __file__, code=2)[1]
    assert (
        "rdw serve"
        in rdw.both("architectures", "--url", f"http://127.0.0.1:{find_free_port()}", "add", str(spec), code=3)[1]
    )


def test_datasets_workers_and_queue_are_listed(rdw: Rdw, service: RunningService) -> None:
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


def test_unreachable_service_exits_with_3_and_a_hint(rdw: Rdw) -> None:
    out, err = rdw.both("queue", "--url", f"http://127.0.0.1:{find_free_port()}", code=3)

    assert out == ""
    assert "rdw serve" in err and "RDW_URL" in err
    assert "Traceback" not in err


def test_problem_is_text_or_json(rdw: Rdw) -> None:
    out, err = rdw.both("scale", "efficientnet_b0", "--flops", "3", code=2)
    assert out == ""
    assert "are reachable" in err

    out, err = rdw.both("scale", "efficientnet_b0", "--flops", "3", "--json", code=2)
    assert out == ""
    assert json.loads(err)["type"] == "/problems/target-out-of-range"

    assert "no trial" in rdw.both("trials", "show", "0" * 32, code=1)[1]
    assert "http" in rdw.both("queue", "--url", "here", code=2)[1]


def test_unwritable_file_is_named_in_the_error(rdw: Rdw, tmp_path: Path) -> None:
    err = rdw.both("scale", "small", "--ratio", ".5", "--config", str(tmp_path / "none" / "n.json"), code=1)[1]

    assert err == f"error: {tmp_path}/none/n.json: No such file or directory\n"


def test_closed_pipe_is_silent(service: RunningService) -> None:
    rdw = f'"{sys.executable}" -m app.cli architectures'
    ran = subprocess.run(["bash", "-c", f"{rdw} | true"], capture_output=True, text=True, env=service.environment)

    assert ran.stderr == ""


def test_client_command_imports_no_server_packages(service: RunningService) -> None:
    program = """
import sys
from app.cli import main
main(["scale", "efficientnet_b0", "--flops", "200M"])
print(sorted({"fastapi", "sqlalchemy", "numpy", "celery", "sklearn", "torch"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=service.environment)

    assert ran.stdout.splitlines()[-1] == "[]", ran.stdout + ran.stderr


def test_choices_of_the_command_match_the_service() -> None:
    """Names are modules of their own, so that commands start without the server's packages."""
    from app import figures
    from app.cli.completion_values import ARTIFACTS
    from app.core.figures import FIGURE_NAMES
    from app.data import preset_names, recipes
    from app.services.trials.artifacts import Artifact

    assert tuple(figures.FIGURES) == FIGURE_NAMES
    assert tuple(recipes.PRESETS) == preset_names.PRESET_NAMES
    assert set(ARTIFACTS) == {artifact.value for artifact in Artifact}


def test_help_lists_exit_codes(rdw: Rdw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = rdw("--help")
    assert all(f" {code}: " in shown for code in range(5))
    assert "other users of this machine can see" in " ".join(rdw("scale", "--help").split())
