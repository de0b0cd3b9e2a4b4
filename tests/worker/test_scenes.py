"""Scenes have exact boxes, and their parts have no sources in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.data.builtin_datasets import ARTICLES_ON_PHOTOS, PHOTOS, Part
from app.data.sample_images import read_samples
from tests.worker.scenery import articles_on_photos, colour_of, synthetic_scenes
from worker.data import scenes
from worker.data.loading import DataError
from worker.data.scenes import Scenes, load_scenes

COUNTS: dict[Part, int] = {"train": 60, "validation": 20, "test": 20}
MIN_DIFFERENCE = 60  # in some channel, between ink and the magenta of the synthetic photos


def background_colours(part: Scenes, index: int) -> torch.Tensor:
    """Return the colours [k, 3] of the pixels outside all boxes."""
    free = torch.ones(128, 128, dtype=torch.bool)
    for x1, y1, x2, y2 in part.targets[index]["boxes"].int().tolist():
        free[y1:y2, x1:x2] = False
    return part.pixels[index][:, free].T


@pytest.mark.exhaustive
def test_scenes_match_description_of_data_set() -> None:
    whole = articles_on_photos()

    counts = {name: len(part) for name, part in whole.parts.items()}
    assert counts["train"] + counts["validation"] == ARTICLES_ON_PHOTOS.train_images
    assert counts["test"] == ARTICLES_ON_PHOTOS.test_images
    for part in whole.parts.values():
        assert (part.pixels.dtype, part.pixels.shape) == (torch.uint8, (len(part), 3, 128, 128))
        assert {len(target["labels"]) for target in part.targets} == {1, 2, 3, 4, 5}
        assert set(torch.cat([target["labels"] for target in part.targets]).tolist()) == set(range(1, 11))


@pytest.mark.exhaustive
def test_boxes_are_inside_and_hardly_overlap() -> None:
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


@pytest.mark.exhaustive
def test_composing_twice_gives_same_scenes() -> None:
    once = articles_on_photos()

    second = load_scenes(ARTICLES_ON_PHOTOS, Path("absent"), limit=50)

    assert [p.digest for p in (second.validation, second.test)] == [p.digest for p in (once.validation, once.test)]
    assert second.train.digest == Scenes(once.train.pixels[:50], once.train.targets[:50]).digest
    assert second.digest == once.digest == ARTICLES_ON_PHOTOS.digest
    assert second.provenance()["images"] == {"train": 50, "validation": 340, "test": 400}


def test_digest_depends_on_pixels_boxes_and_labels() -> None:
    target = {"boxes": torch.tensor([[1.0, 2, 3, 4]]), "labels": torch.tensor([1])}
    pixels = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    others = [
        Scenes(pixels + 1, [target]),
        Scenes(pixels, [{**target, "boxes": target["boxes"] + 1}]),
        Scenes(pixels, [{**target, "labels": target["labels"] + 1}]),
    ]

    assert len({Scenes(pixels, [target]).digest, *(other.digest for other in others)}) == 4


def test_parts_have_no_photo_in_common(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = load_scenes(synthetic_scenes(monkeypatch, tmp_path, COUNTS), tmp_path)

    seen = {
        name: {tuple(c) for i in range(len(p)) for c in background_colours(p, i).tolist()}
        for name, p in whole.parts.items()
    }
    for name, photos in PHOTOS.items():
        assert seen[name] <= {colour_of(name, n) for n in range(len(photos))}
        assert len(seen[name]) == len(photos)  # all photos are used
    assert not seen["train"] & seen["validation"] | seen["train"] & seen["test"] | seen["validation"] & seen["test"]


def test_each_article_is_used_at_most_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = synthetic_scenes(monkeypatch, tmp_path, COUNTS)
    used: list[bytes] = []
    cut_out = scenes.cut_out

    def record(article: scenes.Grey, side: int) -> scenes.Grey | None:
        used.append(article.tobytes())
        return cut_out(article, side)

    monkeypatch.setattr(scenes, "cut_out", record)

    whole = load_scenes(dataset, tmp_path)

    for label, part in enumerate(whole.parts.values(), 1):  # the label of an article is that of its part
        assert {value for target in part.targets for value in target["labels"].tolist()} == {label}
    assert len(set(used)) == len(used) > 200


def test_boxes_enclose_ink_exactly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train = load_scenes(synthetic_scenes(monkeypatch, tmp_path, COUNTS), tmp_path).train
    alone = [i for i, target in enumerate(train.targets) if len(target["labels"]) == 1]

    assert len(alone) > 5
    for i in alone:
        image, background = train.pixels[i].int(), background_colours(train, i)[0].int()
        y, x = torch.nonzero(((image - background[:, None, None]).abs() >= MIN_DIFFERENCE).any(0), as_tuple=True)
        assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == train.targets[i]["boxes"][0].tolist()


def test_pasted_article_is_as_opaque_as_bright() -> None:
    background = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    article = np.array([[0, 255], [128, 16]], np.uint8)

    scenes.paste(article, background, 3, 2)

    assert background[2, 3].tolist() == [200, 100, 50]
    assert background[2, 4].tolist() == [255, 255, 255]
    assert background[3, 3].tolist() == [128, 128, 128]
    assert background[3, 4].tolist() == [155, 79, 42]  # a quarter of the way from the photo to 16
    background[2:4, 3:5] = (200, 100, 50)
    assert (background == (200, 100, 50)).all()


def test_article_without_ink_is_none() -> None:
    assert scenes.cut_out(np.zeros((28, 28), np.uint8), 40) is None


def test_service_shows_the_first_scenes_with_their_boxes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = synthetic_scenes(monkeypatch, tmp_path, COUNTS)
    whole = load_scenes(dataset, tmp_path)

    samples = read_samples(dataset, [], tmp_path)

    assert len(samples) == 16
    for index, sample in enumerate(samples):
        target = whole.train.targets[index]
        assert sample.pixels is not None and torch.equal(torch.from_numpy(sample.pixels), whole.train.pixels[index])
        assert [list(box.corners) for box in sample.boxes] == target["boxes"].tolist()
        assert [box.label for box in sample.boxes] == [whole.classes[label - 1] for label in target["labels"].tolist()]


def test_changed_photos_are_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = synthetic_scenes(monkeypatch, tmp_path, COUNTS)
    name = PHOTOS["test"][0]
    (tmp_path / name).write_bytes((tmp_path / PHOTOS["train"][0]).read_bytes())

    with pytest.raises(DataError, match=r"differ from .*--reinstall mate-backgrounds"):
        load_scenes(dataset, tmp_path)


def test_unreadable_photo_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = synthetic_scenes(monkeypatch, tmp_path, COUNTS)
    (tmp_path / PHOTOS["test"][0]).write_bytes(b"no photo")
    splits = scenes.load(dataset, tmp_path)

    with pytest.raises(DataError, match="cannot be read as an image: reinstall Debian's mate-backgrounds"):
        load_scenes(replace(dataset, digest=scenes.sources_digest(splits)), tmp_path)


def test_missing_sources_are_reported_with_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = synthetic_scenes(monkeypatch, tmp_path, COUNTS)
    (tmp_path / PHOTOS["validation"][0]).unlink()

    with pytest.raises(DataError, match=r"\(photos\): apt-get install -y dataset-fashion-mnist mate-backgrounds"):
        load_scenes(dataset, tmp_path)
