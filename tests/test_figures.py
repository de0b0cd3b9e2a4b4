from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from app import figures
from app.core.figures import FigureFormat
from app.figures import Drawing, FinishedTraining, Member
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.search.front import correlations, hypervolume, select_front
from app.scaling.search.observations import Observation, to_points


def create_observations(n: int = 30, min_flops: float = 2e7, max_flops: float = 4e8) -> list[Observation]:
    random = np.random.default_rng(5)
    flops = np.exp(random.uniform(np.log(min_flops), np.log(max_flops), n))
    return [
        Observation(*random.uniform(0.4, 1.2, 3), f / 4e8, int(f), 1, float(0.8 - 0.2 * (f / 2e7) ** -0.45))
        for f in flops
    ]


def select_networks(observations: list[Observation]) -> list[Observation]:
    return [observations[i] for i in select_front(observations)]


def add_latencies(observations: list[Observation]) -> list[Observation]:
    """Return copies with latencies that do not depend on the FLOPs alone."""
    return [replace(o, latency_ms=(o.flops / 1e7) ** 0.7 * (1 + o.d)) for o in observations]


PAIRS = [(0.70, 0.01, 0.71), (0.60, 0.01, 0.60), (0.65, 0.01, 0.62), (0.5, 0.002, 0.505)]

MEMBERS = [
    Member(800_000, "tiny_formula", "same", 801_000, (0.70, 0.71, 0.72)),
    Member(800_000, "tiny_formula", "randaugment", 801_000, (0.72, 0.73)),
    Member(800_000, "compound", "same", 799_000, (0.69,)),
    Member(800_000, "surrogate", "same", 799_500, ()),
]

# The arguments of each figure, with data and without.
WITH_DATA: dict[str, tuple[Any, ...]] = {
    "accuracy-against-multipliers": (create_observations(),),
    "accuracy-against-flops": (create_observations(), select_networks(create_observations())),
    "accuracy-against-latency": (
        add_latencies(create_observations()),
        select_networks(add_latencies(create_observations())),
    ),
    "multipliers-against-flops": (select_networks(create_observations()),),
    "predictor-curve": (published_predictor(),),
    "predicted-against-measured": (PAIRS,),
    "hypervolume": ({"random": [FinishedTraining(5, o.flops, o.accuracy) for o in create_observations()]},),
    "family": (MEMBERS,),
}
WITHOUT_DATA: dict[str, tuple[Any, ...]] = {
    "accuracy-against-multipliers": ([],),
    "accuracy-against-flops": ([], []),
    "accuracy-against-latency": (create_observations(), select_networks(create_observations())),
    "multipliers-against-flops": ([],),
    "predicted-against-measured": ([],),
    "hypervolume": ({"random": []},),
    "family": (MEMBERS[3:],),
}


def texts(drawing: Drawing) -> list[str]:
    return [legend_text.get_text() for legend in drawing.figure.legends for legend_text in legend.get_texts()]


def data(drawing: Drawing) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(drawing.render("csv").decode())))


def ticks(axes: Axes, drawing: Drawing) -> list[str]:
    """Return the labels of the visible ticks of the x axis."""
    drawing.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    return [
        tick.label1.get_text()
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high  # type: ignore[operator]
    ]


def line(axes: Axes, label: str) -> Any:
    return next(artist for artist in axes.lines if artist.get_label() == label)


def test_these_tests_cover_every_figure() -> None:
    assert WITH_DATA.keys() == figures.FIGURES.keys()


@pytest.mark.parametrize("name", WITH_DATA)
@pytest.mark.parametrize("format", ["svg", *(pytest.param(f, marks=pytest.mark.exhaustive) for f in ("png", "csv"))])
def test_same_values_give_the_same_bytes(name: str, format: FigureFormat) -> None:
    draw = figures.FIGURES[name]

    assert draw(*WITH_DATA[name]).render(format) == draw(*WITH_DATA[name]).render(format)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [n for n in WITH_DATA if n != "predictor-curve"])
def test_figure_does_not_depend_on_others_drawn_before(name: str) -> None:
    alone = figures.FIGURES[name](*WITH_DATA[name]).svg()
    figures.predictor_curve(published_predictor()).svg()

    assert figures.FIGURES[name](*WITH_DATA[name]).svg() == alone


def test_another_process_gives_the_same_bytes_without_pyplot() -> None:
    script = (
        "import sys; from app import figures; "
        "from app.scaling.predictors.published_tinynets import published_predictor as p; "
        "sys.stdout.buffer.write(figures.predictor_curve(p()).svg()); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    root = Path(__file__).parent.parent
    other = subprocess.run([sys.executable, "-c", script], env=environment, cwd=root, capture_output=True, check=True)

    assert other.stdout == figures.predictor_curve(published_predictor()).svg()


@pytest.mark.parametrize("name", WITH_DATA)
def test_png_is_not_blank(name: str, tmp_path: Path) -> None:
    file = tmp_path / "figure.png"
    file.write_bytes(figures.FIGURES[name](*WITH_DATA[name]).png())
    picture = imread(file)

    assert picture.shape[0] > 400 and picture.shape[1] > 600
    assert 0.005 < (picture[..., :3].min(axis=2) < 0.9).mean() < 0.5


@pytest.mark.parametrize("name", WITH_DATA)
def test_svg_has_no_date(name: str) -> None:
    svg = figures.FIGURES[name](*WITH_DATA[name]).svg().decode()

    assert "<svg" in svg
    assert "<dc:date>" not in svg


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_figure_without_data_says_so(name: str) -> None:
    figure = figures.FIGURES[name](*WITHOUT_DATA[name])

    assert figure.figure.axes == []
    assert "yet" in figure.figure.texts[0].get_text()
    assert figure.render("png").startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_networks_can_be_drawn(n: int) -> None:
    few = create_observations(n)

    for figure in (
        figures.accuracy_against_multipliers(few),
        figures.accuracy_against_flops(few, select_networks(few)),
        figures.accuracy_against_latency(add_latencies(few), select_networks(add_latencies(few))),
        figures.multipliers_against_flops(select_networks(few)),
        figures.predicted_against_measured(PAIRS[:n]),
    ):
        assert figure.render("svg")


def test_accuracy_is_drawn_against_each_multiplier() -> None:
    observations = create_observations()
    figure = figures.accuracy_against_multipliers(observations)

    for axes, name, label in zip(figure.figure.axes, "rdw", ["resolution", "depth", "width"], strict=False):
        points = np.asarray(axes.collections[0].get_offsets())
        assert axes.get_xlabel() == f"{label} multiplier {name}"
        assert points == pytest.approx(np.array([[getattr(o, name), 100 * o.accuracy] for o in observations]))
    assert figure.figure.axes[0].get_ylabel() == "accuracy (%)"
    assert figure.figure.axes[3].get_ylabel() == "multiply-adds (millions)"


def test_networks_of_equal_cost_have_no_colour_bar() -> None:
    figure = figures.accuracy_against_multipliers(create_observations(min_flops=1.9e8, max_flops=1.95e8))

    assert len(figure.figure.axes) == 3
    assert figure.figure.axes[0].get_title("left").endswith("million multiply-adds each")


def test_front_is_marked_and_joined_by_cost() -> None:
    best = Observation(1, 1, 1, 0.1, 30_000_000, 1, 0.6), Observation(1, 1, 1, 0.2, 90_000_000, 1, 0.7)
    behind = Observation(1, 1, 1, 0.15, 60_000_000, 1, 0.5)
    figure = figures.accuracy_against_flops([*best, behind, *create_observations()], [best[1], behind, best[0]])
    axes = figure.figure.axes[0]

    assert texts(figure) == ["33 random networks", "the 3 that NSGA-III keeps"]
    assert sorted(line(axes, "the 3 that NSGA-III keeps").get_xdata()) == [30, 60, 90]
    (joined,) = [artist for artist in axes.lines if artist.get_linestyle() == "-"]
    assert joined.get_xydata().tolist() == [[30, 60], [90, 70]]


COMPOUND = [replace(o, role="compound") for o in add_latencies(create_observations(4, 4e7, 3e8))]
RECOMMENDED = [replace(o, role="recommended") for o in add_latencies(create_observations(2))]


@pytest.mark.parametrize("name", ["accuracy-against-multipliers", "accuracy-against-flops", "accuracy-against-latency"])
def test_compound_shrunk_networks_have_their_own_mark(name: str) -> None:
    random = add_latencies(create_observations())
    arguments: tuple[Any, ...] = ([*random, *COMPOUND],)
    figure = figures.FIGURES[name](*arguments, *([[]] if name != "accuracy-against-multipliers" else []))
    axes = figure.figure.axes[0]
    compound = line(axes, "4 compound-shrunk networks")

    assert {"30 random networks", "4 compound-shrunk networks"} <= set(texts(figure))
    assert sorted(compound.get_ydata()) == pytest.approx(sorted(100 * o.accuracy for o in COMPOUND))
    assert compound.get_marker() not in {"o"}
    assert sum(row["role"] == "compound" and row.get("mark") in (None, "network") for row in data(figure)) == 4


def test_networks_of_mixed_roles_are_not_called_random() -> None:
    figure = figures.accuracy_against_flops([*create_observations(), *RECOMMENDED, *COMPOUND], [])

    assert texts(figure) == ["32 networks", "4 compound-shrunk networks"]


@pytest.mark.parametrize("latency", [0.0, 5e-324])
def test_zero_latency_counts_as_not_measured(latency: float) -> None:
    observations = [replace(o, latency_ms=latency) for o in create_observations(3)]

    assert (
        figures.accuracy_against_latency(observations, observations).svg()
        == figures.accuracy_against_latency([], []).svg()
    )


def test_latency_front_uses_only_measured_latencies() -> None:
    def network(flops: int, accuracy: float, latency_ms: float | None) -> Observation:
        return Observation(1, 1, 1, 0.1, flops, 1, accuracy, latency_ms=latency_ms)

    # The second has fewer multiply-adds than the third, and is slower.
    cheap, slow, fast = network(30, 0.6, 1.5), network(60, 0.65, 9.0), network(90, 0.7, 4.0)
    untimed = network(100, 0.8, None)
    figure = figures.accuracy_against_latency([fast, untimed, cheap, slow], [cheap, slow, fast, untimed])
    axes = figure.figure.axes[0]

    assert texts(figure) == ["3 random networks", "the 3 that NSGA-III keeps by FLOPs"]
    assert sorted(line(axes, "3 random networks").get_xdata()) == [1.5, 4.0, 9.0]
    (joined,) = [artist for artist in axes.lines if artist.get_linestyle() == "-"]
    assert joined.get_xydata() == pytest.approx(np.array([[1.5, 60], [4.0, 70]]))
    assert axes.get_xlabel().startswith("milliseconds")


def test_multipliers_are_drawn_with_their_correlations() -> None:
    front = select_networks(create_observations())
    figure = figures.multipliers_against_flops(front)
    expected = correlations(front)

    for axes, name in zip(figure.figure.axes, "rdw", strict=True):
        assert axes.lines[0].get_xydata() == pytest.approx(np.array([[o.flops / 1e6, getattr(o, name)] for o in front]))
        for measure, text in zip(("pearson", "spearman"), axes.get_title("left").split("\n"), strict=True):
            assert text.startswith(f"{measure.capitalize()} {expected[name][measure]:+.2f}")


def test_correlations_show_their_intervals_if_defined() -> None:
    front = select_networks(create_observations())
    defined = {"pearson": 0.5, "pearson_interval": [0.25, 0.75], "spearman": 0.25, "spearman_interval": None}
    undefined = {"pearson": None, "pearson_interval": None, "spearman": None, "spearman_interval": None}
    figure = figures.multipliers_against_flops(front, {"r": defined, "d": defined, "w": undefined})

    assert figure.figure.axes[0].get_title("left") == "Pearson +0.50  [+0.25, +0.75]\nSpearman +0.25"
    assert figure.figure.axes[2].get_title("left") == ""
    rows = {(row["multiplier"], row["correlation"]): row for row in data(figure) if row["mark"] == "correlation"}
    assert [rows["d", "pearson"][column] for column in ("value", "low_90", "high_90")] == ["0.5", "0.25", "0.75"]
    assert [rows["w", "spearman"][column] for column in ("value", "low_90", "high_90")] == ["", "", ""]


@pytest.mark.parametrize(
    ("min_flops", "max_flops", "expected"),
    [
        (2.2e7, 3.9e8, {"30", "50", "100", "200", "300"}),
        (3.0e5, 9.0e7, {"0.5", "1", "2", "5", "10", "20", "50"}),
        (1.0e8, 2.5e8, {"100", "150", "200"}),
        (1.9e8, 1.96e8, {"192", "194"}),
    ],
)
def test_ticks_of_a_log_axis_are_plain_numbers(min_flops: float, max_flops: float, expected: set[str]) -> None:
    observations = create_observations(60, min_flops, max_flops)
    figure = figures.accuracy_against_flops(observations, select_networks(observations))
    shown = ticks(figure.figure.axes[0], figure)

    assert figure.figure.axes[0].get_xscale() == "log"
    assert expected <= set(shown)
    assert 3 <= len(shown) <= 10
    assert len(figure.figure.axes[0].xaxis.get_minorticklocs()) == 0


def test_predictor_is_drawn_with_its_band_and_points() -> None:
    predictor = published_predictor()
    figure = figures.predictor_curve(predictor)

    for axes, name, scale in zip(figure.figure.axes, ["r", "d", "accuracy"], [1, 1, 100], strict=True):
        gp = getattr(predictor, name)
        plotted = line(axes, "predicted").get_xydata()
        band = axes.collections[0].get_paths()[0].vertices
        for c, mean in plotted[[0, 60, 199]]:
            expected, sd = gp.predict_one(math.log(c))
            assert mean == pytest.approx(scale * expected)
            edges = band[np.isclose(band[:, 0], c), 1]
            assert edges.max() == pytest.approx(scale * (expected + 1.645 * sd))
            assert edges.min() == pytest.approx(scale * (expected - 1.645 * sd))
        fitted_on = line(axes, "networks fitted on").get_xydata()
        assert fitted_on == pytest.approx(np.array([[p.c, scale * getattr(p, name)] for p in predictor.points]))
        assert [note.get_text() for note in axes.texts] == list("ABCDE")
        assert axes.get_xscale() == "log"


def test_published_networks_are_drawn_with_their_names() -> None:
    own = Predictor.fit(to_points(select_networks(create_observations())))
    figure = figures.predictor_curve(own, published_predictor().points)
    label = "published TinyNets (EfficientNet-B0, ImageNet)"

    assert label in texts(figure)
    for axes, name in zip(figure.figure.axes[:2], "rd", strict=True):
        plotted = line(axes, label).get_xydata()
        assert plotted == pytest.approx(np.array([[p.c, getattr(p, name)] for p in published_predictor().points]))
        assert [note.get_text() for note in axes.texts] == list("ABCDE")
    assert label not in [artist.get_label() for artist in figure.figure.axes[2].lines]  # accuracy on other data
    published = [row for row in data(figure) if row["mark"] == "published"]
    assert [row["name"] for row in published] == [f"tinynet_{letter}" for letter in "abcde"]


def test_points_of_published_predictor_are_drawn_once() -> None:
    figure = figures.predictor_curve(published_predictor(), published_predictor().points)

    assert texts(figure) == ["90 % band", "predicted", "networks fitted on"]


def test_measurements_outside_the_band_have_their_own_mark() -> None:
    figure = figures.predicted_against_measured(PAIRS)
    axes = figure.figure.axes[0]

    assert texts(figure) == ["2 within the 90 % band", "2 outside of it"]
    assert line(axes, "2 within the 90 % band").get_xydata() == pytest.approx(np.array([[71, 70], [60, 60]]))
    assert line(axes, "2 outside of it").get_xydata() == pytest.approx(np.array([[62, 65], [50.5, 50]]))
    assert axes.get_xlim() == axes.get_ylim()


def test_csv_has_the_plotted_values() -> None:
    observations = create_observations()
    front = select_networks(observations)
    rows = data(figures.accuracy_against_flops(observations, front))

    assert [float(row["accuracy"]) for row in rows if row["mark"] == "network"] == [o.accuracy for o in observations]
    assert [int(row["flops"]) for row in rows if row["mark"] == "kept"] == [o.flops for o in front]
    plotted = figures.accuracy_against_flops(observations, front).figure.axes[0].lines[1].get_xydata()
    joined = [[int(row["flops"]) / 1e6, 100 * float(row["accuracy"])] for row in rows if row["mark"] == "joined"]
    assert plotted == pytest.approx(np.array(joined))


def test_csv_of_predictor_has_curve_and_networks() -> None:
    predictor = published_predictor()
    figure = figures.predictor_curve(predictor)
    rows = data(figure)
    curve = [row for row in rows if row["mark"] == "curve"]

    plotted = line(figure.figure.axes[0], "predicted").get_xydata()
    assert plotted == pytest.approx(np.array([[float(row["c"]), float(row["r"])] for row in curve]))
    assert float(curve[7]["d_sd"]) == pytest.approx(predictor.d.predict_one(math.log(float(curve[7]["c"])))[1])
    assert [float(row["c"]) for row in rows if row["mark"] == "fitted"] == [p.c for p in predictor.points]


def test_hypervolume_counts_trainings_finished_so_far() -> None:
    finished = [
        FinishedTraining(4, 30, 0.5),
        FinishedTraining(2, 40, 0.4),
        FinishedTraining(6, 90, 0.7),
        FinishedTraining(4, 30, 0.6),
    ]
    figure = figures.hypervolume({"random": finished})
    reference = (1.01 * 90, 0.0)
    expected = [
        hypervolume([f.flops for f in finished[:n]], [f.accuracy for f in finished[:n]], reference)
        for n in (1, 2, 3, 4)
    ]
    by_trainings, by_epochs = figure.figure.axes

    assert expected[0] == expected[1] < expected[2] < expected[3]
    assert by_trainings.lines[0].get_xydata() == pytest.approx(np.array(list(zip([1, 2, 3, 4], expected, strict=True))))
    assert by_epochs.lines[0].get_xdata().tolist() == [4, 6, 12, 16]
    assert "reference point" in by_trainings.get_title("left") and "accuracy 0" in by_trainings.get_title("left")
    assert [float(row["hypervolume"]) for row in data(figure)] == pytest.approx(expected)


def test_every_hypervolume_series_is_drawn() -> None:
    """Five methods are compared in bench/less_compute.py."""
    names = list("abcde")
    figure = figures.hypervolume({name: [FinishedTraining(1, 10, 0.1 * n)] for n, name in enumerate(names, 1)})

    assert [row["series"] for row in data(figure)] == names


def test_hypervolume_series_share_one_reference_point() -> None:
    cheap, costly = [FinishedTraining(1, 30, 0.5)], [FinishedTraining(1, 90, 0.5)]
    both = {row["series"]: float(row["hypervolume"]) for row in data(figures.hypervolume({"a": cheap, "b": costly}))}

    assert both["a"] == pytest.approx(hypervolume([30], [0.5], (1.01 * 90, 0.0)))
    assert both["b"] == pytest.approx(hypervolume([90], [0.5], (1.01 * 90, 0.0)))


def test_family_is_drawn_by_rule_and_recipe() -> None:
    figure = figures.family(MEMBERS)
    rows = {(row["rule"], row["recipe"]): row for row in data(figure)}

    assert texts(figure) == ["compound", "tiny formula", "tiny formula, with RandAugment"]
    assert float(rows["tiny_formula", "same"]["mean"]) == pytest.approx(0.71)
    assert float(rows["tiny_formula", "same"]["sd"]) == pytest.approx(0.01)
    assert rows["compound", "same"]["sd"] == ""  # one seed has no deviation
    assert ("surrogate", "same") not in rows
    studied, augmented = figure.figure.axes[0].containers[1:]
    assert studied.lines[0].get_xydata() == pytest.approx(np.array([[0.801, 71]]))
    assert studied.lines[0].get_markerfacecolor() != augmented.lines[0].get_markerfacecolor()


def test_marks_of_family_lie_within_the_axes() -> None:
    axes = figures.family(MEMBERS).figure.axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()

    assert left < 0.799 and right > 0.801
    assert low < 69 and high > 73


def test_figure_of_20000_networks_is_small_and_complete() -> None:
    many = create_observations(20_000)

    for drawing in (figures.accuracy_against_multipliers(many), figures.accuracy_against_flops(many, many[:9])):
        assert len(drawing.svg()) < 2_000_000
        assert len(data(drawing)) >= 20_000
