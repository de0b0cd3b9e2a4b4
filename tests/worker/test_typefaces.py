"""The data set `typefaces`, mostly rendered from generated fonts."""

from __future__ import annotations

import logging
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from app.core.settings import Settings
from app.data import fonts as typefaces
from app.data.builtin_images import ImagesUnavailable
from app.data.fonts import CLASSES, NATIVE_PX, FontsError, Typefaces, family_of, part_of
from app.data.recipes import Recipe
from app.data.sample_images import read_samples
from app.scaling.network import Config, Head, Stage, Stem
from tests.fonts import DEJAVU, FAMILIES, font, install
from tests.worker.support import train_small
from worker.data import fetch
from worker.data.glyphs import render_font, render_typefaces
from worker.data.loading import DataError, Images, load


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of fonts, with one generated font in each of 28 families."""
    folder = install(tmp_path / "fonts")
    monkeypatch.setattr("app.data.fonts.font_folders", lambda: [folder, tmp_path / "absent"])
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def cache_file(data_dir: Path) -> Path:
    [file] = (data_dir / "datasets").iterdir()
    return file


def rendered_images(installed: Typefaces, part: str) -> Counter[tuple[int, bytes]]:
    return Counter((n, p.tobytes()) for f in installed.fonts if f.part == part for n, p in render_font(f))


def counted(part: Images) -> Counter[tuple[int, bytes]]:
    pixels = [image.numpy().tobytes() for image in part.pixels]
    return Counter(zip(part.labels.tolist(), pixels, strict=True))


class TestFamilies:
    @pytest.mark.parametrize(
        ("names", "family"),
        [
            (["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"], "deja"),
            (["Linux Libertine O", "Linux Biolinum O"], "linux"),
            (["YOzA90", "YOzFb", "YOzA"], "yoz"),
            (["8-bit Limit", "Bit Blocks"], "bit"),
            (["OCR A", "OCR B"], "ocr"),
            (["Abecedario_guiada", "Abecedario"], "abecedario"),
            (["C-64"], "c-64"),
        ],
    )
    def test_related_names_are_one_family(self, names: list[str], family: str) -> None:
        assert {family_of(name) for name in names} == {family}

    def test_shares_of_families_per_part(self) -> None:
        shares = Counter(part_of(f"family {n}") for n in range(10_000))

        assert abs(shares["test"] - 2000) < 150
        assert abs(shares["validation"] - 800) < 150

    def test_split_of_families_is_fixed(self) -> None:
        assert [part_of(name) for name in ("alder", "ash", "fir")] == ["train", "test", "validation"]


class TestFonts:
    def test_parts_are_complete_without_common_families(self, fonts: Path, data_dir: Path) -> None:
        installed = typefaces.find_installed()

        splits = load(typefaces.describe("typefaces"), data_dir)

        assert [f.family for f in installed.fonts] == sorted(name.casefold() for name in FAMILIES)
        whole = [sum(rendered_images(installed, part).values()) for part in ("train", "validation", "test")]
        assert whole == [17 * 47, 3 * 47, 8 * 47]
        in_other_parts: set[bytes] = set()  # images that look the same in several families are kept in one part
        for part in ("test", "validation", "train"):
            expected = {p: n for p, n in rendered_images(installed, part).items() if p[1] not in in_other_parts}
            assert counted(getattr(splits, part)) == expected
            in_other_parts |= {pixels for _, pixels in expected}
        assert splits.duplicates == sum(whole) - sum(len(part) for part in splits.parts.values()) > 0
        assert (splits.num_classes, splits.digest) == (47, installed.digest)

    def test_glyphs_do_not_depend_on_paths_of_fonts(
        self, fonts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = typefaces.find_installed()
        others = [tmp_path / "b" / "deep", tmp_path / "a"]
        for n, file in enumerate(sorted(fonts.iterdir(), reverse=True)):
            others[n % 2].mkdir(parents=True, exist_ok=True)
            shutil.copy(file, others[n % 2] / f"{n:02}.OTF")
        monkeypatch.setattr("app.data.fonts.font_folders", lambda: [tmp_path / "b", tmp_path / "a"])

        after = typefaces.find_installed()

        assert before.fonts != after.fonts
        assert before.digest == after.digest
        assert render_typefaces(before, tmp_path / "one").digest == render_typefaces(after, tmp_path / "two").digest

    def test_duplicates_and_invalid_fonts_change_nothing(self, fonts: Path) -> None:
        before = typefaces.find_installed().digest
        shutil.copy(fonts / "Oak.ttf", fonts / "Oak copy.ttf")
        (fonts / "text.ttf").write_text("no font")
        (fonts / "empty.otf").write_bytes(b"")
        (fonts / "folder.ttf").mkdir()

        assert typefaces.find_installed().digest == before

    def test_additional_font_changes_digest_but_no_split(self, fonts: Path) -> None:
        before = typefaces.find_installed()
        (fonts / "more.ttf").write_bytes(font("Acacia"))

        after = typefaces.find_installed()

        assert before.digest != after.digest
        assert [f for f in after.fonts if f.family != "acacia"] == list(before.fonts)

    def test_digest_depends_on_content_of_fonts(self, fonts: Path) -> None:
        before = typefaces.find_installed().digest
        (fonts / "Oak.ttf").write_bytes(font("Oak Sans", FAMILIES.index("Oak") + 1))

        assert typefaces.find_installed().digest != before

    def test_choice_between_fonts_of_same_name_ignores_path(self, fonts: Path) -> None:
        (fonts / "a.ttf").write_bytes(font("Acacia", 0))
        (fonts / "b.ttf").write_bytes(font("Acacia", 1))
        before = typefaces.find_installed().digest
        (fonts / "a.ttf").rename(fonts / "c.ttf")

        assert typefaces.find_installed().digest == before

    def test_digest_depends_on_rasteriser(self, fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = typefaces.find_installed().digest
        monkeypatch.setattr("app.data.fonts.features.version", lambda _: "1.0")
        (fonts / "Oak.ttf").touch()

        assert typefaces.find_installed().digest != before

    def test_family_gives_at_most_six_fonts(self, fonts: Path) -> None:
        for n in range(8):
            (fonts / f"{n}.ttf").write_bytes(font(f"Oak {n}", n))

        of_oak = [f.name for f in typefaces.find_installed().fonts if f.family == "oak"]

        assert of_oak == [f"Oak {n}" for n in range(6)]

    @pytest.mark.parametrize("name", ["Oak Dingbats", "Line Dings", "Symbols", "Oak Math", "Oak Icons", "cmsy10"])
    def test_symbol_fonts_are_excluded(self, name: str, fonts: Path) -> None:
        before = typefaces.find_installed().digest
        (fonts / "more.ttf").write_bytes(font(name))

        assert typefaces.find_installed().digest == before

    @pytest.mark.parametrize("name", ["Oak Bold", "Barbara", "Iconoclast Light", "Ding Dong Bell", "Mathilda"])
    def test_fonts_with_similar_names_are_kept(self, name: str, fonts: Path) -> None:
        (fonts / "more.ttf").write_bytes(font(name))

        assert name in [f.name for f in typefaces.find_installed().fonts]


class TestGlyphs:
    @staticmethod
    def render_edited(fonts: Path, *edits: tuple[str, str | None]) -> dict[str, np.ndarray]:
        (fonts / "edited.ttf").write_bytes(font("Edited", glyphs=edits))
        [edited] = [f for f in typefaces.find_installed().fonts if f.name == "Edited"]
        return {CLASSES[label]: image for label, image in render_font(edited)}

    def test_glyphs_are_white_centred_and_scaled(self, fonts: Path) -> None:
        images = self.render_edited(fonts)

        assert "".join(images) == CLASSES
        for image in images.values():
            assert (image.shape, image.dtype) == ((NATIVE_PX, NATIVE_PX), np.uint8)
            assert image.max() == 255
            rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
            assert max(len(rows), len(columns)) == NATIVE_PX - 8
            for across in (rows, columns):
                assert abs(across[0] + across[-1] - (NATIVE_PX - 1)) <= 1

    @pytest.mark.parametrize(
        "edit",
        [("a", None), ("Q", ".notdef"), ("t", "space"), ("b", "B"), ("O", "zero")],
        ids=["absent", "rendered as missing", "empty", "small as capital", "letter as digit"],
    )
    def test_ambiguous_glyph_is_dropped(self, edit: tuple[str, str | None], fonts: Path) -> None:
        assert "".join(self.render_edited(fonts, edit)) == CLASSES.replace(edit[0], "")

    def test_part_without_a_class_is_rejected(self, fonts: Path, data_dir: Path) -> None:
        for family in ("Fir", "Sycamore", "Walnut"):
            (fonts / f"{family}.ttf").write_bytes(font(f"{family} Sans", glyphs=(("K", None), ("q", None))))

        with pytest.raises(DataError, match="no glyph of K, q in the validation part"):
            load(typefaces.describe("typefaces"), data_dir)
        assert not data_dir.exists()


class TestCache:
    @pytest.fixture
    def cached_digest(self, fonts: Path, data_dir: Path) -> Iterator[str]:
        """The digest of the cached glyphs."""
        yield render_typefaces(typefaces.find_installed(), data_dir).digest

    def test_cached_glyphs_are_not_rendered_again(
        self, cached_digest: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.data.glyphs.render_font", lambda _: pytest.fail("rendered again"))

        assert render_typefaces(typefaces.find_installed(), data_dir).digest == cached_digest

    @pytest.mark.usefixtures("cached_digest")
    def test_samples_are_training_glyphs_of_many_classes(self, data_dir: Path) -> None:
        dataset = typefaces.describe("typefaces")

        samples = read_samples(dataset, [], data_dir)

        glyphs = {
            pixels.tobytes() for pixels in render_typefaces(typefaces.find_installed(), data_dir).part("train")[0]
        }
        assert len({sample.label for sample in samples}) == len(samples) == 16
        assert {sample.pixels.tobytes() for sample in samples if sample.pixels is not None} <= glyphs
        cache_file(data_dir).unlink()
        with pytest.raises(ImagesUnavailable, match="the first training on it renders them"):
            read_samples(dataset, [], data_dir)

    @pytest.mark.parametrize("damage", ["empty", "text", "truncated", "a byte", "other pixels"])
    def test_damaged_cache_is_rendered_again(
        self, damage: str, cached_digest: str, data_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = cache_file(data_dir)
        intact = file.read_bytes()
        if damage == "other pixels":
            with np.load(file) as opened:
                arrays = dict(opened)
            arrays["pixels"][0, 0, 0, 0] ^= 1
            np.savez_compressed(file, **arrays)
        else:
            middle = len(intact) // 2
            flipped = intact[:middle] + bytes([intact[middle] ^ 0xFF]) + intact[middle + 1 :]
            file.write_bytes({"empty": b"", "text": b"text", "truncated": intact[:middle], "a byte": flipped}[damage])

        assert render_typefaces(typefaces.find_installed(), data_dir).digest == cached_digest

        assert "is damaged" in caplog.text
        caplog.clear()
        render_typefaces(typefaces.find_installed(), data_dir)
        assert "is damaged" not in caplog.text

    @pytest.mark.usefixtures("cached_digest")
    def test_rendered_data_set_is_read_after_its_fonts_change(self, fonts: Path, data_dir: Path) -> None:
        registered = typefaces.describe("typefaces")
        before = counted(load(registered, data_dir).train)
        (fonts / "more.ttf").write_bytes(font("Acacia"))
        render_typefaces(typefaces.find_installed(), data_dir)

        assert len(list((data_dir / "datasets").iterdir())) == 2
        assert counted(load(registered, data_dir).train) == before
        shutil.rmtree(fonts)
        assert counted(load(registered, data_dir).train) == before

    def test_failed_cache_write_leaves_no_file(
        self, fonts: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr("worker.atomic_files.os.replace", full)
        with pytest.raises(OSError, match="no space"):
            render_typefaces(typefaces.find_installed(), data_dir)

        assert list((data_dir / "datasets").iterdir()) == []

    def test_rendering_logs_progress_and_stores_image_counts(
        self, fonts: Path, data_dir: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        digest = typefaces.find_installed().digest
        assert typefaces.image_counts(data_dir, digest) is None

        with caplog.at_level(logging.INFO):
            render_typefaces(typefaces.find_installed(), data_dir)

        assert "28 of 28 fonts rendered, 1316 images" in caplog.text
        assert typefaces.image_counts(data_dir, digest) == (20 * 47, 8 * 47)


class TestTooFewFonts:
    @pytest.mark.parametrize("families", [[], ["Oak"], [f for f in FAMILIES if part_of(f.casefold()) != "validation"]])
    def test_too_few_families_are_rejected_with_remedy(self, families: list[str], fonts: Path, data_dir: Path) -> None:
        registered = typefaces.describe("typefaces")
        shutil.rmtree(fonts)
        install(fonts, families)

        with pytest.raises(FontsError, match=f"of {len(families)} families are too few: .*worker.data.fetch typefaces"):
            typefaces.describe("typefaces")
        with pytest.raises(DataError, match=r"too few: .*worker.data.fetch typefaces"):
            load(registered, data_dir)

    def test_changed_fonts_are_rejected_for_existing_data_set(self, fonts: Path, data_dir: Path) -> None:
        registered = typefaces.describe("typefaces")
        (fonts / "Oak.ttf").unlink()

        with pytest.raises(DataError, match=r"differ from those of the data set .*font-packages.*another name"):
            load(registered, data_dir)
        assert not data_dir.exists()


class TestFetch:
    @pytest.fixture(autouse=True)
    def command_line(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["fetch", "typefaces"])
        monkeypatch.setattr(fetch, "get_settings", lambda: Settings(data_dir=data_dir))

    def test_fetch_renders_fonts_in_advance(
        self, fonts: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert fetch.main() == 0

        output = capsys.readouterr().out.splitlines()
        assert output == ["28 fonts of 28 families: 940 training images, 376 test images", "typefaces"]
        assert cache_file(data_dir).suffix == ".npz"


def test_short_training_learns_typefaces(fonts: Path, data_dir: Path, tmp_path: Path) -> None:
    splits = load(typefaces.describe("typefaces"), data_dir, limit=300)
    stages = (Stage("ds", 1, 16, stride=2), Stage("ir", 2, 32, stride=2, expansion=4))
    config = Config(
        family="efficientnet", resolution=32, stem=Stem(16), stages=stages, head=Head(64), in_chans=1, num_classes=47
    )
    torch.manual_seed(0)

    one = train_small(tmp_path / "one", Recipe(epochs=3, batch_size=16, lr=0.01), config=config, splits=splits)

    assert len(splits.train) == 300
    assert one.accuracy > 3 / 47


def test_debian_fonts_suffice() -> None:
    """Reads the installed fonts without rendering them."""
    if not Path("/usr/share/fonts/truetype/aenigma").is_dir():
        pytest.skip("NOT TESTED: Debian's fonts (app/data/font-packages.txt) are absent on this machine")

    installed = typefaces.find_installed()

    families = {font.family for font in installed.fonts}
    assert len(families) > 300
    assert max(Counter(font.family for font in installed.fonts).values()) == 6
    assert 0.14 < sum(part_of(family) == "test" for family in families) / len(families) < 0.26
    assert len(render_font(next(font for font in installed.fonts if font.family == "liberation"))) == 47


def test_matplotlib_fonts_are_installed() -> None:
    assert len(DEJAVU) == 12
