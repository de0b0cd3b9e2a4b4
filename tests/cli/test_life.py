"""The commands that rename, archive and delete resources of each kind."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.cli.conftest import Rdw
from tests.serving import RunningService
from tests.support import SMALL

ROWS = [f"{0.5 + 0.1 * i:.1f},1,{0.5 + 0.1 * i:.1f},{0.5 + 0.02 * i:.2f}" for i in range(6)]


def test_resources_of_each_kind_are_renamed_archived_and_deleted(
    rdw: Rdw, service: RunningService, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = service.settings.data_dir / "datasets" / "pets" / split / name
            folder.mkdir(parents=True)
            for i in range(8):
                Image.new("RGB", (16, 16), (20 * i, 60 if name == "a" else 200, 7)).save(folder / f"{i}.png")
    (tmp_path / "mine.json").write_text(json.dumps({**SMALL, "name": "mine"}))
    (tmp_path / "rows.csv").write_text("r,d,w,accuracy\n" + "\n".join(ROWS))
    (tmp_path / "space.json").write_text(json.dumps({"ratio": [0.05, 2]}))
    rdw("architectures", "add", str(tmp_path / "mine.json"))
    rdw("datasets", "add", "pets", "pets", "--native-px", "16")
    space = ("--trials", "1", "--space", str(tmp_path / "space.json"))
    study = rdw.json("study", "create", "first", "mine", "--dataset", "pets", *space)["id"]
    rdw("study", "import", study, str(tmp_path / "rows.csv"))
    predictor = rdw.json("study", "refit", study, "--activate")["id"]
    trial = rdw.json("train", "mine", "--dataset", "pets", "--r", "1", "--d", "1", "--w", "1")["id"]
    rdw("trials", "cancel", trial)

    for group, key, name in (
        ("study", study[:8], "second"),
        ("trials", trial[:8], "a try"),
        ("predictor", predictor, "the best"),
        ("architectures", "mine", "ours"),
        ("datasets", "pets", "cats"),
    ):
        assert rdw.json(group, "rename", key, name)["name"] == name
        assert rdw.json(group, "describe", key, "What it is for.")["description"] == "What it is for."
    assert "cats" in rdw("datasets", "list")
    assert rdw.json("trials", "show", trial)["architecture"] == "ours"
    assert rdw.json("datasets", "refresh", "cats")["name"] == "cats"
    rdw("datasets", "samples", "cats", "--out", str(tmp_path / "cats.png"), "--px", "32")
    assert (tmp_path / "cats.png").read_bytes().startswith(b"\x89PNG")

    assert "active" in rdw.both("predictor", "archive", predictor, code=1)[1]
    assert "active       no" in rdw("predictor", "deactivate", predictor)
    for group, key in (("study", study), ("trials", trial), ("predictor", predictor), ("datasets", "cats")):
        rdw(group, "archive", key)
        assert key[:8] not in rdw(group, "list")
        assert key[:8] in rdw(group, "list", "--archived")
        assert rdw.json(group, "unarchive", key)["archived_at"] is None

    refused = rdw.both("study", "delete", study, code=1)[1]
    assert "1 predictors depend on it" in refused
    assert "6 observations depend on it" in refused
    assert "--force" in refused
    for group, key in (
        ("study", study), ("trials", trial), ("predictor", predictor), ("datasets", "cats"), ("architectures", "ours"),
    ):  # fmt: skip
        assert "Deleted." in rdw.both(group, "delete", key, "--force")[1]
        assert "error" in rdw.both(group, "delete", key, code=1)[1]
