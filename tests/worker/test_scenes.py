"""Scenes of articles on photos: where everything in them comes from, and that the boxes are exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.datasets import ARTICLES_ON_PHOTOS, PHOTOS, Part
from tests.worker.scenery import articles_on_photos, colour_of, made_up
from worker import scenes
from worker.datasets import DataError
from worker.scenes import Scenes, load_scenes

COUNTS: dict[Part, int] = {"train": 60, "validation": 20, "test": 20}
SEEN = 60  # a channel's difference that every pixel of an article's ink makes on magenta


def corners(part: Scenes, index: int) -> torch.Tensor:
    """The colours [k, 3] of the scene's outermost pixels that no box has."""
    free = torch.ones(128, 128, dtype=torch.bool)
    for x1, y1, x2, y2 in part.targets[index]["boxes"].int().tolist():
        free[y1:y2, x1:x2] = False
    return part.pixels[index][:, free].T


def test_the_set_is_what_its_description_says() -> None:
    whole = articles_on_photos()

    counts = {name: len(part) for name, part in whole.parts.items()}
    assert counts["train"] + counts["validation"] == ARTICLES_ON_PHOTOS.train_images
    assert counts["test"] == ARTICLES_ON_PHOTOS.test_images
    for part in whole.parts.values():
        assert (part.pixels.dtype, part.pixels.shape) == (torch.uint8, (len(part), 3, 128, 128))
        assert {len(target["labels"]) for target in part.targets} == {1, 2, 3, 4, 5}
        assert set(torch.cat([target["labels"] for target in part.targets]).tolist()) == set(range(1, 11))


def test_boxes_lie_inside_and_hardly_cover_each_other() -> None:
    for part in articles_on_photos().parts.values():
        for target in part.targets:
            boxes = target["boxes"]
            sides = boxes[:, 2:] - boxes[:, :2]
            assert len(boxes) == len(target["labels"])
            assert boxes.min() >= 0 and boxes.max() <= 128 and sides.min() >= 4
            common = (
                (
                    torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
                    - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
                )
                .clamp(0)
                .prod(2)
            )
            smaller = torch.minimum(sides.prod(1)[:, None], sides.prod(1)[None])
            assert ((common / smaller).fill_diagonal_(0) <= 0.15).all()


def test_composed_again_they_are_the_same() -> None:
    once = articles_on_photos()

    again = load_scenes(ARTICLES_ON_PHOTOS, Path("absent"), limit=50)

    assert [p.digest for p in (again.validation, again.test)] == [p.digest for p in (once.validation, once.test)]
    assert again.train.digest == Scenes(once.train.pixels[:50], once.train.targets[:50]).digest
    assert again.digest == once.digest == ARTICLES_ON_PHOTOS.digest
    assert again.provenance()["images"] == {"train": 50, "validation": 340, "test": 400}


def test_a_digest_tells_pixels_boxes_and_labels_apart() -> None:
    target = {"boxes": torch.tensor([[1.0, 2, 3, 4]]), "labels": torch.tensor([1])}
    pixels = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    others = [
        Scenes(pixels + 1, [target]),
        Scenes(pixels, [{**target, "boxes": target["boxes"] + 1}]),
        Scenes(pixels, [{**target, "labels": target["labels"] + 1}]),
    ]

    assert len({Scenes(pixels, [target]).digest, *(other.digest for other in others)}) == 4


def test_the_parts_have_no_photo_in_common(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = load_scenes(made_up(monkeypatch, tmp_path, COUNTS), tmp_path)

    seen = {name: {tuple(c) for i in range(len(p)) for c in corners(p, i).tolist()} for name, p in whole.parts.items()}
    for name, photos in PHOTOS.items():
        assert seen[name] <= {colour_of(name, n) for n in range(len(photos))}
        assert len(seen[name]) == len(photos)  # each photo is used
    assert not seen["train"] & seen["validation"] | seen["train"] & seen["test"] | seen["validation"] & seen["test"]


def test_the_parts_have_no_article_in_common_and_none_is_used_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = made_up(monkeypatch, tmp_path, COUNTS)
    cut: list[bytes] = []
    cut_out = scenes.cut_out

    def noted(article: scenes.Grey, side: int) -> scenes.Grey | None:
        cut.append(article.tobytes())
        return cut_out(article, side)

    monkeypatch.setattr(scenes, "cut_out", noted)

    whole = load_scenes(dataset, tmp_path)

    for label, part in enumerate(whole.parts.values(), 1):  # an article's class is its part's
        assert {value for target in part.targets for value in target["labels"].tolist()} == {label}
    assert len(set(cut)) == len(cut) > 200


def test_a_box_is_exactly_the_ink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train = load_scenes(made_up(monkeypatch, tmp_path, COUNTS), tmp_path).train
    alone = [i for i, target in enumerate(train.targets) if len(target["labels"]) == 1]

    assert len(alone) > 5
    for i in alone:
        picture, ground = train.pixels[i].int(), corners(train, i)[0].int()
        y, x = torch.nonzero(((picture - ground[:, None, None]).abs() >= SEEN).any(0), as_tuple=True)
        assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == train.targets[i]["boxes"][0].tolist()


def test_where_an_article_is_black_the_photo_shows_and_where_it_is_bright_it_does_not() -> None:
    ground = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    article = np.array([[0, 255], [128, 16]], np.uint8)

    scenes.pasted(article, ground, 3, 2)

    assert ground[2, 3].tolist() == [200, 100, 50]
    assert ground[2, 4].tolist() == [255, 255, 255]
    assert ground[3, 3].tolist() == [128, 128, 128]
    assert ground[3, 4].tolist() == [155, 79, 42]  # a quarter of the way to 16
    ground[2:4, 3:5] = (200, 100, 50)
    assert (ground == (200, 100, 50)).all()


def test_an_article_without_ink_is_none() -> None:
    assert scenes.cut_out(np.zeros((28, 28), np.uint8), 40) is None


def test_other_photos_under_the_same_names_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = made_up(monkeypatch, tmp_path, COUNTS)
    name = PHOTOS["test"][0]
    (tmp_path / name).write_bytes((tmp_path / PHOTOS["train"][0]).read_bytes())

    with pytest.raises(DataError, match=r"not those .*--reinstall mate-backgrounds"):
        load_scenes(dataset, tmp_path)


def test_a_photo_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = made_up(monkeypatch, tmp_path, COUNTS)
    (tmp_path / PHOTOS["test"][0]).write_bytes(b"no photo")
    splits = scenes.load(dataset, tmp_path)

    with pytest.raises(DataError, match="no photo that can be read: install mate-backgrounds anew"):
        load_scenes(replace(dataset, digest=scenes.sources_digest(splits)), tmp_path)


def test_without_its_sources_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = made_up(monkeypatch, tmp_path, COUNTS)
    (tmp_path / PHOTOS["validation"][0]).unlink()

    with pytest.raises(DataError, match=r"\(photos\): apt-get install -y dataset-fashion-mnist mate-backgrounds"):
        load_scenes(dataset, tmp_path)
