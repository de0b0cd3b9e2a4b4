"""Folders of images are read as people lay them out, or refused with the ways in which they can be read."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.data import image_folders
from app.data.builtin_datasets import Layout
from app.data.folder_scan import FolderError
from app.data.image_folders import Examined

Examine = Callable[..., Examined]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets" / "own"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    def examine(layout: Layout | None = None) -> Examined:
        return image_folders.examine("own", "own", 8, tmp_path, layout=layout)

    return examine


tone = iter(range(1, 1 << 24))


def png() -> bytes:
    """Return an image that no other call returns."""
    number = next(tone)
    file = BytesIO()
    Image.new("RGB", (8, 8), (number >> 16, number >> 8 & 255, number & 255)).save(file, "PNG")
    return file.getvalue()


def fill(*folders: Path, images: int = 6) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(images):
            (folder / f"{number}.png").write_bytes(png())


def fill_parts(own: Path, parts: Iterable[str], classes: Iterable[str] = ("cats", "dogs")) -> None:
    fill(*(own / part / name for part in parts for name in classes))


def sizes(examined: Examined) -> tuple[int, int, int]:
    train, validation, test = (part["images"] for part in examined.report["splits"])
    return train, validation, test


@pytest.mark.parametrize(
    "parts",
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "DEV", "TEST"),
        ("train_set", "valid_set", "test_set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ("trn", "eval", "tst"),
        ("TrainData", "ValData", "TestData"),
        ("train2017", "val2017", "test2017"),
        ("birds-train", "birds-valid", "birds-test"),
        ("Train Images", "Valid Images", "Test Images"),
    ],
)
def test_parts_are_recognised_by_any_usual_name(parts: tuple[str, ...], own: Path, examine: Examine) -> None:
    fill_parts(own, parts)

    examined = examine()

    assert sizes(examined) == (12, 12, 12)
    assert examined.dataset.classes == ("cats", "dogs")


def test_archive_folder_beside_junk_is_descended_into(own: Path, examine: Examine) -> None:
    fill_parts(own / "archive" / "pets", ("Train", "Test"))
    fill(own / "__MACOSX" / "archive")

    examined = examine()

    assert sizes(examined) == (12, 0, 12)
    assert examined.report["skipped"][0]["examples"] == ["__MACOSX"]


def test_folds_are_parts_of_which_the_last_is_the_test_part(own: Path, examine: Examine) -> None:
    fill_parts(own, [f"fold{number}" for number in range(1, 11)])

    examined = examine()

    assert sizes(examined) == (108, 0, 12)
    assert examined.report["splits"][2]["source"] == "fold10"


def test_parts_inside_of_each_class_are_parts(own: Path, examine: Examine) -> None:
    fill_parts(own, ("cats", "dogs"), ("train", "test"))

    examined = examine()

    assert sizes(examined) == (12, 0, 12)
    assert examined.dataset.classes == ("cats", "dogs")


@pytest.mark.parametrize("name", ["train", "test", "test_tube", "fold1"])
def test_class_may_be_called_like_a_part(name: str, own: Path, examine: Examine) -> None:
    fill(own / "bus", own / "car", own / name)

    assert examine().dataset.classes == tuple(sorted(("bus", "car", name)))


def test_unlabelled_folder_beside_parts_is_said_to_be_passed_over(own: Path, examine: Examine) -> None:
    fill_parts(own, ("seg_train/seg_train", "seg_test/seg_test"))
    fill(own / "seg_pred" / "seg_pred", images=7)

    examined = examine()

    assert sizes(examined) == (12, 0, 12)
    assert [(item["files"], item["examples"]) for item in examined.report["skipped"]] == [(7, ["seg_pred"])]


@pytest.mark.parametrize(("layout", "classes"), [("splits", ("ice", "tgv")), ("classes", ("bus", "train"))])
def test_ambiguous_folder_is_read_as_the_option_says(
    layout: Layout, classes: tuple[str, ...], own: Path, examine: Examine
) -> None:
    fill(own / "bus" / "school", own / "train" / "ice", own / "train" / "tgv")

    with pytest.raises(FolderError, match=r"can be read in 2 ways: as 'splits', .* or as 'classes', .*`layout`"):
        examine()
    assert examine(layout).dataset.classes == classes


def test_parts_without_classes_are_refused(own: Path, examine: Examine) -> None:
    fill(own / "train", own / "test")

    with pytest.raises(FolderError, match="have no class folders in them"):
        examine()
    assert examine("classes").dataset.classes == ("test", "train")


def test_two_folders_of_one_part_are_refused(own: Path, examine: Examine) -> None:
    fill_parts(own, ("train", "val", "valid"))

    with pytest.raises(FolderError, match="'val', 'valid' of 'own' are all named after the validation part"):
        examine()


def test_numeric_class_names_are_sorted_by_number(own: Path, examine: Examine) -> None:
    fill(*(own / str(number) for number in range(12)))

    assert examine().dataset.classes == tuple(map(str, range(12)))


def test_junk_and_other_files_are_counted(own: Path, examine: Examine) -> None:
    fill(own / "cats", own / "dogs")
    for name in (".DS_Store", "cats/._0.png", "cats/Thumbs.db", "dogs/desktop.ini", "dogs/.ipynb_checkpoints"):
        (own / name).write_bytes(b"?")
    fill(own / "cats" / "@eaDir")
    for name in ("cats/notes.txt", "dogs/a.heic", "README.md", "loose.png"):
        (own / name).write_bytes(b"?")

    examined = examine()

    assert sizes(examined) == (12, 0, 0)
    assert {item["reason"]: item["files"] for item in examined.report["skipped"]} == {
        "hidden, or left by an operating system or archive": 6,
        "not in a known image format (.txt)": 1,
        "not in a known image format (.heic)": 1,
        "not an image": 1,
        "an image outside of the class folders": 1,
    }


def test_links_inside_the_data_root_are_followed_once(own: Path, examine: Examine) -> None:
    fill(own / "cats", own / "dogs", own.parent / "more")
    (own / "cats" / "more").symlink_to(own.parent / "more")
    (own / "cats" / "above").symlink_to(own)

    assert sizes(examine()) == (18, 0, 0)


def test_link_out_of_the_data_root_is_refused(own: Path, examine: Examine, tmp_path: Path) -> None:
    fill(own / "cats", own / "dogs", tmp_path / "secret")
    (own / "cats" / "more").symlink_to(tmp_path / "secret")

    with pytest.raises(FolderError, match="'cats/more' of 'own' is a link out of the data root"):
        examine()


def test_warnings_name_what_will_go_wrong(own: Path, examine: Examine) -> None:
    fill(own / "train" / "cats", images=600)
    fill(own / "train" / "dogs", own / "test" / "cats", images=5)
    (own / "test" / "cats" / "copy.png").write_bytes((own / "train" / "dogs" / "0.png").read_bytes())

    warnings = "\n".join(examine().report["warnings"])

    assert "more than 100:1: 'cats' has 600 training images, 'dogs' has 5" in warnings
    assert "'dogs': fewer than 20 training images" in warnings
    assert "'dogs': no images in the test part" in warnings
    assert "1 images of the train part are also in the test part" in warnings
    assert "2 images have the same pixels as an image of another class" in warnings or "1 images have" in warnings


def write_table(file: Path, rows: list[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        parquet.write_table(arrow.Table.from_pylist(rows), file)
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if file.suffix == ".tsv" else ";")
        writer.writeheader()
        writer.writerows(rows)
        file.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_table_of_paths_labels_and_splits_is_read(suffix: str, own: Path, examine: Examine) -> None:
    fill(own / "images", images=31)
    rows: list[dict[str, object]] = [
        {"path": f"images/{n}.png", "label": 10 if n % 2 else 9, "split": "test" if n < 10 else "train"}
        for n in range(30)
    ]
    write_table(own / f"labels{suffix}", rows)

    examined = examine()

    assert sizes(examined) == (20, 0, 10)
    assert examined.dataset.classes == ("9", "10")
    assert examined.report["skipped"][0]["files"] == 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_hugging_face_metadata_in_folders_of_parts_is_read(suffix: str, own: Path, examine: Examine) -> None:
    for part in ("train", "test"):
        fill(own / part, images=12)
        rows: list[dict[str, object]] = [{"file_name": f"{n}.png", "label": "ab"[n % 2]} for n in range(12)]
        write_table(own / part / f"metadata{suffix}", rows)

    examined = examine()

    assert sizes(examined) == (12, 0, 12)
    assert examined.dataset.classes == ("a", "b")


def test_tables_named_after_parts_are_read_together(own: Path, examine: Examine) -> None:
    fill(own / "images", images=24)
    for part, numbers in (("train", range(12)), ("val", range(12, 18)), ("test", range(18, 24))):
        write_table(own / f"{part}.csv", [{"image": f"images/{n}.png", "class": "ab"[n % 2]} for n in numbers])

    assert sizes(examine()) == (12, 6, 6)


def test_table_beside_class_folders_is_ambiguous(own: Path, examine: Examine) -> None:
    fill(own / "cats", own / "dogs")
    rows: list[dict[str, object]] = [
        {"path": f"{c}/{n}.png", "label": n % 2} for c in ("cats", "dogs") for n in range(6)
    ]
    write_table(own / "labels.csv", rows)

    with pytest.raises(
        FolderError, match=r"as 'manifest', by the table 'labels\.csv'; or as 'classes', with 2 classes"
    ):
        examine()
    assert examine("manifest").dataset.classes == ("0", "1")
    assert examine("classes").dataset.classes == ("cats", "dogs")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "/etc/passwd", "label": "a"}, "Row 1 .*: '/etc/passwd' is not relative"),
        ({"path": "../../../etc/passwd", "label": "a"}, "Row 1 of 'labels.csv' leads out of the data root"),
        ({"path": "", "label": "a"}, "Row 1 .*: 'path' is not a path"),
        ({"path": "0.png", "label": "a", "split": "spare"}, "Row 1 .*: 'spare' is not train, validation or test"),
    ],
)
def test_invalid_row_is_named(row: dict[str, object], message: str, own: Path, examine: Examine) -> None:
    write_table(own / "labels.csv", [row])

    with pytest.raises(FolderError, match=message):
        examine()


def test_path_listed_twice_is_refused(own: Path, examine: Examine) -> None:
    fill(own / "images", images=12)
    rows: list[dict[str, object]] = [{"path": f"images/{n % 12}.png", "label": n % 2} for n in range(13)]
    write_table(own / "labels.csv", rows)

    with pytest.raises(FolderError, match=r"'images/0.png' is listed twice"):
        examine()


def write_shard(file: Path, labels: Iterable[tuple[str, bytes]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for number, (suffix, label) in enumerate(labels):
            for name, content in ((f"{number:04}.png", png()), (f"{number:04}.{suffix}", label)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, BytesIO(content))


def test_webdataset_shards_are_read_by_part(own: Path, examine: Examine) -> None:
    for shard in ("train-0000.tar", "train-0001.tar", "val-0000.tar"):
        write_shard(own / shard, [("cls", str(9 + n % 2).encode()) for n in range(10)])

    examined = examine()

    assert sizes(examined) == (20, 0, 10)
    assert examined.dataset.classes == ("9", "10")
    assert examined.report["splits"][0]["sample"][0]["path"].startswith("train-0000.tar at byte ")


def test_shards_with_labels_in_json_and_without_labels(own: Path, examine: Examine) -> None:
    labels = [("json", json.dumps({"label": "ab"[n % 2]}).encode()) for n in range(10)]
    write_shard(own / "data.tar", [*labels, ("txt", b"a caption")])

    examined = examine()

    assert sizes(examined) == (10, 0, 0)
    assert {item["reason"]: item["files"] for item in examined.report["skipped"]}["without a label"] == 1


def test_damaged_shard_is_named(own: Path, examine: Examine) -> None:
    write_shard(own / "data.tar", [("cls", b"a"), ("cls", b"b")])
    (own / "data.tar").write_bytes(b"\1" * 2000)

    with pytest.raises(FolderError, match=r"The tar file 'data\.tar' cannot be read"):
        examine()


@pytest.mark.parametrize("parts", [("fold1", "fold2", "fold3"), ("train", "test")])
def test_parts_without_class_folders_are_not_taken_for_classes(
    parts: tuple[str, ...], own: Path, examine: Examine
) -> None:
    fill(*(own / part for part in parts))
    (own / "meta.csv").write_text("slice,fold,class\n0.png,1,dog\n")

    with pytest.raises(FolderError) as refused:
        examine()

    assert f"`{parts[0]}/<class>/*`" in str(refused.value)
    assert "'meta.csv' has the columns 'slice', 'fold', 'class': it needs `path` and `label`" in str(refused.value)
    assert examine(layout="classes").report["layout"] == "classes"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_table_with_a_byte_order_mark_is_read(encoding: str, own: Path, examine: Examine) -> None:
    fill(own / "images", images=12)
    rows = [f"images/{i}.png;{('chèvre', 'dog')[i % 2]}" for i in range(12)]
    (own / "labels.csv").write_text("\r\n".join(["Image;Label", *rows]), encoding)

    assert [one["name"] for one in examine().report["classes"]] == ["chèvre", "dog"]


def test_table_in_an_unknown_encoding_is_named(own: Path, examine: Examine) -> None:
    fill(own / "images", images=12)
    (own / "labels.csv").write_text("image,label\nimages/0.png,chèvre\n", "latin-1")

    with pytest.raises(FolderError, match=r"The table 'labels\.csv' of 'own' cannot be read: 'utf-8' codec"):
        examine()


def test_listed_files_that_do_not_exist_are_said_to_be_missing(own: Path, examine: Examine) -> None:
    fill(own / "images", images=12)
    (own / "labels.csv").write_text("image,label\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(12)))

    with pytest.raises(FolderError, match=r"12 of 12 files of 'own' do not exist.*relative to its folder"):
        examine()


def test_archives_are_named_if_nothing_can_be_read(own: Path, examine: Examine) -> None:
    (own / "train-000.tar.gz").write_bytes(b"\x1f\x8b")

    with pytest.raises(FolderError, match=r"Unpack 'train-000\.tar\.gz', or use tar files without compression"):
        examine()


def test_images_of_unusual_forms_and_names_are_all_counted(own: Path, examine: Examine) -> None:
    random = np.random.default_rng(0)

    def noise(*shape: int) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, shape, np.uint8))

    for name in ("new\nline", "emoji 😀", "-dash"):
        folder = own / name
        folder.mkdir()
        noise(20000, 1, 3).save(folder / "tall.png")
        noise(1, 20000, 3).save(folder / "wide.png")
        Image.fromarray(random.integers(0, 65536, (9, 9)).astype(np.uint16)).save(folder / "deep\n.png")
        noise(9, 9, 3).convert("CMYK").save(folder / "CMYK.JPG")
        for suffix in ("gif", "webp"):
            frames = [noise(9, 9, 3) for _ in range(3)]
            frames[0].save(folder / f"animated.{suffix}", save_all=True, append_images=frames[1:])
        (folder / "loop.png.d").symlink_to("loop.png.d")

    examined = examine()

    assert sizes(examined) == (18, 0, 0)
    assert [one["name"] for one in examined.report["classes"]] == ["-dash", "emoji 😀", "new\\nline"]
    assert [(one["files"], one["reason"]) for one in examined.report["skipped"]] == [
        (3, "not in a known image format (.d)")
    ]
