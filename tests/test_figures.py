"""Figures: what is drawn equals the numbers handed back, and what is saved is stable."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ganzip import metrics
from ganzip.report import tables

pytest.importorskip("matplotlib", reason="figures need the extra [notebooks]")
pytest.importorskip("seaborn", reason="figures need the extra [notebooks]")

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle, StepPatch

from ganzip.report import figures
from ganzip.report.figures.ends import apart
from ganzip.report.figures.theme import MARKERS, markers


@pytest.fixture
def frame():
    """Rows of two methods at three sizes, a teacher and the real data; IS and FD, two seeds."""
    scores = {"regular": 4.0, "mse": 5.0, "joint 0.1": 5.2}
    found = [(m, d, score + math.log2(d) / 4) for m, score in scores.items() for d in (2, 4, 8)]
    found += [("teacher", 16, 7.0), ("real", "", 9.8)]
    return pd.DataFrame(
        {
            **dict.fromkeys(tables.ROW, ""),
            **{"method": method, "width": d, "metric": metric, "dataset": "digits"},
            **{"value": scale * (score + seed / 4), "steps": 10, "n_images": 50, "seed": seed},
        }
        for method, d, score in found
        for metric, scale in (("IS", 1), ("FD-digits", -10))
        for seed in (0, 1)
    )


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(0)
    return {label: torch.rand(5, 1, 8, 8, generator=g) * 2 - 1 for label in ("teacher", "mse")}


# ------------------------------------------------------------------------------------- saving


def test_saved_files_are_stable_and_of_the_right_size(tmp_path, images):
    files = []
    for folder in ("one", "two"):
        figure = figures.sample_grid(images)
        path = figures.save(figure, tmp_path / folder, "grid")
        with Image.open(path) as picture:
            width, height = figure.get_size_inches() * 200
            assert abs(picture.width - width) <= 1 and abs(picture.height - height) <= 1
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20
        files.append(path.read_bytes())
    assert path.name == "grid.png" and files[0] == files[1]


def inside(figure):
    """Whether every text of a figure lies on the page."""
    FigureCanvasAgg(figure).draw()
    page = figure.bbox.padded(1)
    texts = [t for axes in figure.axes for t in axes.texts if t.get_text()]
    for axes in figure.axes:
        texts += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        texts += [*axes.get_xticklabels(), *axes.get_yticklabels()] if axes.images else []
    texts += [t for legend in figure.legends for t in legend.get_texts()]
    boxes = [t.get_window_extent() for t in texts if t.get_visible() and t.get_text()]
    assert boxes
    return all(page.contains(*box.min) and page.contains(*box.max) for box in boxes)


def test_nothing_is_cut(frame, images):
    paper = tables.published("dcgan_kd", 1)
    assert inside(figures.metric_against_d(frame, "IS", paper)[0])
    assert inside(figures.teacher_selection(frame, "FD-digits", paper)[0])
    assert inside(figures.sample_grid({"one\ntwo\nthree": torch.zeros(40, 1, 8, 8)}, title="a"))
    assert inside(figures.interpolation(images))
    for scheme in ("mse", "joint", "sdakd", "nickel_dime"):
        assert inside(getattr(figures, f"scheme_{scheme}")())
    sets = {"pre-trained teacher D (ablation 3)": torch.rand(9), "student D (SDAKD)": torch.rand(9)}
    assert inside(figures.probability_histograms({"GCFSR": sets, "Real-ESRGAN": sets})[0])
    assert inside(figures.speedups(published_speedups())[0])
    columns = {f"a long label, C = 1/{n}\nof two lines": images["mse"] for n in range(6)}
    captions = {label: ["27.1 dB, the mean over 48 images\nand a line"] * 5 for label in columns}
    assert inside(figures.comparison(columns, [(0, 0, 8)] * 5, captions=captions))


# ------------------------------------------------------------------------------------- images


def test_sample_grid_shows_every_pixel_unblurred(images):
    figure = figures.sample_grid(images)
    assert [label(axes) for axes in figure.axes] == ["teacher", "MSE student"]
    for axes, batch in zip(figure.axes, images.values(), strict=True):
        (picture,) = axes.images
        assert picture.get_interpolation() == "nearest"
        row = np.asarray(picture.get_array())
        assert row.shape == (8, 5 * (8 + 1), 3) and (row[:, 8::9] == 255).all()  # gaps of a pixel
        for i, want in enumerate(batch[:, 0].numpy()):
            got = row[:, 9 * i : 9 * i + 8, 0] / 127.5 - 1
            assert np.abs(got - want).max() <= 0.5 / 127.5 + 1e-6
    boxes = boxes_of(figure)
    assert boxes[0].x0 == pytest.approx(boxes[1].x0)  # one z, one column
    assert boxes[0].width == pytest.approx(boxes[1].width)


def label(axes):
    """What stands at the left of a row of pictures."""
    (text,) = axes.get_yticklabels()
    return text.get_text()


def boxes_of(figure):
    """Where the panels of a figure are drawn."""
    FigureCanvasAgg(figure).draw()
    return [axes.get_window_extent() for axes in figure.axes]


@pytest.fixture
def pictures():
    """Two rows: an input of 4 px, and two images of 16 px whose pixels are all different."""
    g = torch.Generator().manual_seed(0)
    full = {label: torch.rand(2, 3, 16, 16, generator=g) * 2 - 1 for label in ("truth", "student")}
    return {"input": torch.rand(2, 3, 4, 4, generator=g) * 2 - 1, **full}


def test_the_detail_is_where_neighbours_differ_most():
    images = torch.zeros(2, 3, 32, 32)
    images[0, :, 16:24:2, 8:16:2] = 1  # a texture
    images[1, :, 2:6:2, 26:30:2] = 0.5
    (top, left, size), (up, right, _) = figures.busiest(images, 8)
    assert (top, left, size) == (16, 8, 8)
    assert up <= 2 and right <= 26 <= right + 8


def test_comparison_shows_every_image_whole_and_enlarged(pictures):
    zooms = [(3, 5, 6), (0, 10, 5)]
    captions = {"student": ["27.1 dB", "25.0 dB"]}
    figure = figures.comparison(pictures, zooms, captions=captions)
    grid = np.array(figure.axes).reshape(4, 3).T
    assert [column[0].get_title() for column in grid] == ["input", "truth", "student"]
    assert [axes.get_xlabel() for axes in grid[2]] == ["", "27.1 dB", "", "25.0 dB"]
    assert not any(axes.get_xlabel() for axes in (*grid[0], *grid[1]))
    for column, batch in zip(grid, pictures.values(), strict=True):
        big = F.interpolate(batch, (16, 16), mode="nearest")
        for row, (top, left, size) in enumerate(zooms):
            over, under = column[2 * row : 2 * row + 2]
            whole, detail = (np.asarray(axes.images[0].get_array()) for axes in (over, under))
            wanted = ((big[row] + 1) * 127.5).round().permute(1, 2, 0).numpy()
            assert np.abs(whole - wanted).max() <= 1  # a half is rounded up or down
            assert (detail == whole[top : top + size, left : left + size]).all()
            for axes, place in ((over, (left, top)), (under, (0, 0))):
                assert axes.images[0].get_interpolation() == "nearest"
                white, frame = (p for p in axes.patches if isinstance(p, Rectangle))
                assert [v + 0.5 for v in frame.get_xy()] == list(place)
                assert frame.get_width() == frame.get_height() == white.get_width() == size
                assert to_hex(white.get_edgecolor()) == "#ffffff" != to_hex(frame.get_edgecolor())


def test_pictures_too_small_to_enlarge_are_alone(pictures):
    figure = figures.comparison(pictures, [], captions={"student": ["27.1 dB", "25.0 dB"]})
    assert len(figure.axes) == 6 and inside(figure)
    assert [axes.get_xlabel() for axes in figure.axes[2::3]] == ["27.1 dB", "25.0 dB"]
    with pytest.raises(ValueError, match="expected 1"):
        figures.comparison(pictures, [(0, 0, 4)])


def test_a_student_without_an_adversarial_share_is_called_by_its_loss(images):
    labels = ["joint, alpha 0, d=4", "joint, alpha 0.01, d=4"]
    rows = {label: images["mse"] for label in labels}
    figure, drawn = figures.compression_artefacts(rows, {key: [5.0, 7.0] for key in rows})
    shown = [label(axes).partition("\n")[0] for axes in figure.axes]
    assert shown == ["MSE, longer, d=4", labels[1]] and drawn["label"].tolist() == labels


def test_compression_artefacts_say_once_what_the_spread_is_over(images):
    sharpness = {label: [5.0, 7.0, 9.0] for label in images}
    figure, drawn = figures.compression_artefacts(images, sharpness)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "over 3 images" in titles[0] and not any(titles[1:]) and inside(figure)
    assert drawn["mean"].tolist() == [7.0, 7.0] and drawn["n_images"].tolist() == [3, 3]


# ------------------------------------------------------------------------------------- curves


def published_speedups():
    frame = tables.published("sdakd", 3)
    long = frame.melt("C", var_name="network", value_name="speedup")
    return long.assign(source="published")


def test_speedups_draw_the_numbers_that_they_hand_back():
    measured = {1: 1.0, "1/2": 3.5, "1/4": 11.0, 0.125: 24.0}
    ours = pd.DataFrame({"network": "gcfsr", "C": [*measured], "source": "ours"})
    ours["speedup"] = [*measured.values()]
    # From small to large, as a table may come.
    figure, drawn = figures.speedups(pd.concat([ours, published_speedups()]).iloc[::-1])
    assert list(drawn.columns) == ["network", "C", "published", "ours"]
    paper = tables.published("sdakd", 3)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for network, axes in panels.items():
        its = drawn.query("network == @network")
        assert its["C"].tolist() == ["1", "1/2", "1/4", "1/8"]
        assert its["published"].tolist() == paper[network].tolist()
        assert lines(axes)["published"] == ([1, 2, 4, 8], paper[network].tolist())
    assert lines(panels["gcfsr"])["ours"] == ([1, 2, 4, 8], [1.0, 3.5, 11.0, 24.0])
    assert "ours" not in lines(panels["realesrgan"])


def lines(axes):
    """The lines of a panel by their name, as (d, value); those with bars are named as a whole."""
    found = {line.get_label(): line for line in axes.lines} | means(axes)
    return {
        label: (np.asarray(line.get_xdata()).tolist(), list(line.get_ydata()))
        for label, line in found.items()
        if not label.startswith("_")
    }


def means(axes):
    """The lines between means with error bars, by their label."""
    return {bars.get_label(): bars.lines[0] for bars in axes.containers}


def test_metric_against_d_draws_the_means_that_it_hands_back(frame):
    figure, drawn = figures.metric_against_d(frame, "IS", tables.published("dcgan_kd", 1))
    ours, mnist, *_ = figure.axes
    assert len(figure.axes) == 4
    assert [axes.get_ylabel()[:3] for axes in figure.axes] == ["IS,", "IS,", "FID", "FID"]
    names = {"mse": "MSE student", "joint 0.1": "joint-loss student, α = 0.1"}
    for method, label in names.items():
        wanted = drawn.loc[(drawn["source"] == "ours") & (drawn["method"] == method)]
        d, mean = lines(ours)[label]
        assert d == [2, 4, 8] == wanted["d"].tolist()
        assert mean == pytest.approx(wanted["mean"].tolist())
    assert drawn.query("method == 'mse' and d == 2")["mean"].tolist() == [5.375]
    assert lines(ours)["teacher, d = 16"][1] == [7.125, 7.125]
    assert lines(ours)["real images"][1] == pytest.approx([9.925, 9.925])
    seeds = [c for c in ours.collections if isinstance(c, PathCollection)]
    assert sorted(np.shape(c.get_offsets())[0] for c in seeds) == [6, 6, 6]
    student = tables.published("dcgan_kd", 1).query("dataset == 'MNIST'").dropna()["student"]
    assert lines(mnist)["MSE student"][1] == student.tolist()
    filled = means(ours)["MSE student"], means(mnist)["MSE student"]
    assert [to_hex(line.get_markerfacecolor()) for line in filled] == [
        *(figures.COLOURS["mse"].lower(), "#ffffff")
    ]  # published points are hollow
    assert ours.get_ylim() == mnist.get_ylim() and ours.get_title(loc="left") == "ours: digits"
    marked, _ = figures.metric_against_d(
        frame.query("method != 'teacher'"), "FD-digits", teacher_d=8
    )
    regular = frame.query("method == 'regular' and width == 8 and metric == 'FD-digits'")
    assert lines(marked.axes[0])["teacher, d = 8"][1] == [regular["value"].mean()] * 2
    single, _ = figures.metric_against_d(frame, "IS")
    assert single.axes[0].get_legend() and not single.legends
    with pytest.raises(ValueError, match="no rows of metric 'FID' .*; there are FD-digits, IS"):
        figures.metric_against_d(frame, "FID")


def test_a_distance_that_falls_to_a_third_is_logarithmic(frame):
    falling = frame.query("method == 'regular' and metric == 'FD-digits'").astype({"width": int})
    for power, scale in ((1.0, "log"), (0.1, "linear")):
        rows = falling.assign(value=100 / falling["width"] ** power + falling["seed"])
        figure, _ = figures.metric_against_d(rows, "FD-digits")
        assert figure.axes[0].get_yscale() == scale and inside(figure)
        assert ("log" in figure.axes[0].get_ylabel()) == (scale == "log")


def test_every_size_has_its_number(frame):
    figure, _ = figures.teacher_selection(frame, "FD-digits", tables.published("dcgan_kd", 1))
    for axes in figure.axes:
        assert all(text.get_text().strip() for text in axes.get_xticklabels())


def test_teacher_selection_rings_the_best_and_shows_the_teacher_that_is_used(frame):
    published = tables.published("dcgan_kd", 1)
    figure, drawn = figures.teacher_selection(frame, "IS", published)
    assert ring(figure.axes[0]) == (16, 7.125)
    assert drawn.groupby(["source", "dataset"], sort=False)["picked_d"].first().tolist() == [
        *(16, 256, 64, 128)
    ]
    assert [teachers(axes) for axes in figure.axes] == [[16], [256], [64], [128]]
    other, drawn = figures.teacher_selection(frame, "IS", published, teacher_d=4)
    assert ring(other.axes[0])[0] == 16 and teachers(other.axes[0]) == [4]
    assert drawn.query("source == 'ours'")["picked_d"].tolist() == [4] * 4
    low, _ = figures.teacher_selection(frame.query("width != 16"), "FD-digits")
    assert ring(low.axes[0])[0] == 8 and not teachers(low.axes[0])  # -10 x IS: lower is better
    twice = pd.concat([frame, frame.query("width == 16").assign(method="regular")])
    with pytest.raises(ValueError, match="summary: 2 rows for .* width 16, seed 0"):
        figures.teacher_selection(twice, "IS")
    with pytest.raises(ValueError, match="metric 'VoL' has no better end"):
        figures.teacher_selection(frame, "VoL")


def ring(axes):
    """Where the ring of a panel is."""
    (x,), (y,) = next(at for at in lines(axes).values() if len(at[0]) == 1)
    return x, y


def teachers(axes):
    """The d at which the vertical lines of a panel are."""
    upright = [x for x, y in lines(axes).values() if list(y) == [0, 1]]
    return [x[0] for x in upright]


def test_our_scores_are_beside_the_published_ones_of_their_metric(frame):
    figure, drawn = figures.teacher_selection(frame, "FD-digits", tables.published("dcgan_kd", 1))
    metrics = [axes.get_ylabel()[:2] for axes in figure.axes]
    assert metrics == ["IS", "IS", "FD", "FI", "FI"] and inside(figure)
    ours, theirs, *_ = figure.axes
    assert ours.get_title(loc="left").startswith("ours")
    assert theirs.get_title(loc="left").startswith("published")
    assert set(drawn.query("source == 'ours'")["metric"]) == {"IS", "FD-digits"}


def test_history_draws_every_player_apart_and_smooths():
    frame = pd.DataFrame(
        [(step, player, "adv", float(step)) for player in ("D", "G") for step in (0, 1, 5)],
        columns=["step", "player", "term", "value"],
    )
    figure, drawn = figures.history(frame, smooth=3)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["D", "G"]
    assert drawn["smoothed"].tolist() == [0.5, 2.0, 3.0] * 2
    curve = figure.axes[1].lines[1]
    assert np.asarray(curve.get_data()).tolist() == [[0, 1, 5], [0.5, 2.0, 3.0]]


def test_logit_histogram_bars_are_the_counts():
    g = torch.Generator().manual_seed(0)
    logits = {"mse": torch.randn(200, generator=g), "real": torch.randn(50, 1, generator=g) + 3}
    figure, counts, moments = figures.logit_histogram(logits)
    assert counts[["mse", "real"]].sum().tolist() == [200, 50]
    assert (counts["right"].iloc[:-1].to_numpy() == counts["left"].iloc[1:].to_numpy()).all()
    first = logits["mse"].numpy()
    low, high = counts.loc[5, ["left", "right"]]
    assert counts.loc[5, "mse"] == ((first >= low) & (first < high)).sum()
    shown = {"MSE student": counts["mse"].tolist(), "real images": counts["real"].tolist()}
    assert outlines(figure.axes[0]) == shown and inside(figure)
    (note,) = figure.axes[0].texts
    known = metrics.auc(logits["real"], logits["mse"])
    assert note.get_text() == f"MSE student\nAUC {known:.2f}"
    assert moments["n"].tolist() == [200, 50]
    assert moments["mean"].tolist() == pytest.approx([x.mean().item() for x in logits.values()])
    assert moments["std"].tolist() == pytest.approx([x.std().item() for x in logits.values()])


def test_logits_have_a_row_each_over_those_of_real_images():
    logits = {label: torch.randn(40) for label in ("real", "teacher", "mse", "joint, alpha 0.1")}
    figure, _, _ = figures.logit_histogram(logits)
    names = ["teacher", "MSE student", "joint, alpha 0.1"]
    assert [[*outlines(axes)] for axes in figure.axes] == [["real images", name] for name in names]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_probabilities_share_both_axes_and_bear_their_notes():
    panels = {"GCFSR": {"DCD\nAUC 0.91": torch.rand(50)}, "ESRGAN": {"DCD": torch.full((50,), 0.4)}}
    figure, counts, _ = figures.probability_histograms(panels)
    assert list(counts.columns) == ["panel", "left", "right", "DCD"] and inside(figure)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        ["DCD: AUC 0.91"], []
    ]  # fmt: skip
    (limits,) = {axes.get_ylim() for axes in figure.axes}
    assert limits[1] > 50


def outlines(axes):
    """The counts of every histogram that is drawn, by its label."""
    found = [p for p in axes.patches if isinstance(p, StepPatch) and not p.get_fill()]
    return {patch.get_label(): np.asarray(patch.get_data()[0]).tolist() for patch in found}


@pytest.fixture
def rated():
    """Rows of two methods at three rates, two metrics and two seeds, and a teacher."""
    found = [
        (method, rate, metric, scale * (score + rate / 100 + seed / 4), seed)
        for method, score in (("CAGC", 3.0), ("NICKEL & DiME", 2.0))
        for rate in (75.0, 90.0, 98.0)
        for metric, scale in (("FD-digits", 1), ("recall-digits", 0.1))
        for seed in (0, 1)
    ]
    found += [("teacher", 0.0, m, v, 0) for m, v in (("FD-digits", 1.5), ("recall-digits", 0.9))]
    return pd.DataFrame(found, columns=["method", "rate", "metric", "value", "seed"])


def test_by_method_draws_the_means_that_it_hands_back(rated):
    metrics = ["FD-digits", "recall-digits"]
    figure, drawn = figures.by_method(rated, "rate", metrics, xlabel="rate, %", left=True)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["FD-digits, lower is better", "recall-digits, higher is better"]
    assert set(drawn["method"]) == {"CAGC", "NICKEL & DiME"} and set(drawn["seeds"]) == {2}
    for axes, metric in zip(figure.axes, metrics, strict=True):
        for method, curve in means(axes).items():
            its = drawn.loc[(drawn["metric"] == metric) & (drawn["method"] == method)]
            x, y = np.asarray(curve.get_data()).tolist()
            assert x == [2.0, 10.0, 25.0] and y == its["mean"].tolist()[::-1]
            assert to_hex(curve.get_color()).upper() == figures.COLOURS[str(method)]
    assert lines(figure.axes[0])["teacher"][1] == [1.5, 1.5]
    left, right = figure.axes[-1].get_xlim()
    assert inside(figure) and left > 25 > 2 > right  # what is left falls to the right
    ticks = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert ticks == ["2", "10", "25"]
    wide = rated.assign(width=1 - rated["rate"] / 100)
    both, _ = figures.by_method(wide, "rate", metrics, left=True)
    ticks = [text.get_text() for text in both.axes[-1].get_xticklabels()]
    assert ticks == ["2\np = 0.98", "10\np = 0.9", "25\np = 0.75"] and inside(both)
    assert figure.axes[1].get_ylim()[0] == 0  # recall is a share
    with pytest.raises(ValueError, match=r"no rows of metrics \['FID'\]; there are FD-"):
        figures.by_method(rated, "rate", ["FID"])


def test_lines_are_named_at_their_ends_and_names_do_not_touch():
    names = ["GS", "CAGC", "StyleKD", "ITGC", "GCC", "NICKEL", "NICKEL & DiME"]
    crowd = pd.DataFrame(
        {"method": name, "metric": "FD-digits", "step": step, "seed": seed}
        | {"value": 100 / step + seed + rank / 100}
        for rank, name in enumerate(names)
        for step in (1, 2, 3)
        for seed in (0, 1)
    )
    level = {"method": "teacher", "metric": "FD-digits", "step": 0, "seed": 0, "value": 30.0}
    figure, _ = figures.by_method(pd.concat([crowd, pd.DataFrame([level])]), "step", ["FD-digits"])
    (axes,) = figure.axes
    assert inside(figure) and not figure.legends
    texts = sorted(axes.texts, key=lambda text: text.get_window_extent().y0)
    assert {text.get_text() for text in texts} == {*names, "teacher"}
    boxes = [text.get_window_extent() for text in texts]
    assert all(a.y1 <= b.y0 + 1 for a, b in pairwise(boxes))
    assert [text.get_text() for text in texts[1:]] == names  # as their lines end, over the teacher
    bars = {its.get_label(): vars(its)["has_yerr"] for its in axes.containers}
    assert bars == {name: name == "NICKEL & DiME" for name in names}


@pytest.mark.parametrize(
    ("places", "wanted"),
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        ([0.5, 0.5, 0.9], [0.4, 0.6, 0.9]),
        ([0.0, 0.0, 0.1], [0.0, 0.2, 0.4]),
        ([1.0, 1.0], [0.8, 1.0]),
        ([], []),
    ],
)
def test_places_are_as_near_as_a_gap_allows(places, wanted):
    assert apart(places, 0.2) == pytest.approx(wanted)


def test_all_of_a_crowd_have_a_bar_beside_their_ends_and_seeds_where_they_differ():
    methods = ["GS", "CAGC", "StyleKD", "ITGC", "GCC", "NICKEL & DiME"]
    crowd = pd.DataFrame(
        {"method": method, "metric": "FD-digits", "step": step, "seed": seed, "value": step + seed}
        for method in methods
        for step in (1, 2)
        for seed in range(1 if method == "GS" else 2)
    )
    figure, _ = figures.by_method(crowd, "step", ["FD-digits"])
    (axes,) = figure.axes
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"GS, one seed", *(f"{method}, 2 seeds" for method in methods[1:])}
    upright = [np.asarray(line.get_data()).tolist() for line in axes.lines]
    spread = crowd.query("method == 'CAGC' and step == 2")["value"].std()
    bars = [y[1] - y[0] for x, y in upright if x == [2, 2]]
    assert bars == pytest.approx([2 * spread] * 5)
    even, _ = figures.by_method(crowd.query("method != 'GS'"), "step", ["FD-digits"])
    assert "2 seeds" in even.axes[0].get_xlabel()
    assert not any("seed" in text.get_text() for text in even.axes[0].texts)


def test_a_method_without_a_spread_has_no_bar(rated):
    single = rated.query("seed == 0 or method == 'CAGC'")
    figure, _ = figures.by_method(single, "rate", ["FD-digits"])
    bars = {its.get_label(): vars(its)["has_yerr"] for its in figure.axes[0].containers}
    assert bars == {"CAGC, 2 seeds": True, "NICKEL & DiME, one seed": False}


def test_a_ranking_has_the_best_on_top_and_levels_across():
    table = pd.DataFrame(
        {
            "method": ["teacher", "mse", "control", "input"],
            "KID": [30.0, 90.0, 40.0, 200.0],
            "sd": [np.nan, 2.0, np.nan, np.nan],
        }
    )
    figure, drawn = figures.ranking(table, "KID")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["control", "MSE student"] and axes.get_ylim() == (1.5, -0.5)
    drawn_at = [np.asarray(line.get_xdata()).tolist() for line in axes.lines]
    assert [30.0, 30.0] in drawn_at and [200.0, 200.0] in drawn_at
    assert axes.get_xscale() == "log" and inside(figure)
    assert drawn["method"].tolist() == ["teacher", "control", "mse", "input"]
    assert "1e-3" in axes.get_xlabel()  # the unit of KID
    linear, _ = figures.ranking(table.assign(KID=table["KID"] - 35), "KID")
    assert linear.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("seeds", [[20.0, 160.0], [70.0, 85.0, 95.0, 110.0]])
def test_a_ranking_draws_each_of_few_seeds_in_the_place_of_a_bar(seeds):
    rows = pd.DataFrame({"method": "mse", "value": seeds})
    table = pd.DataFrame({"method": ["teacher", "mse"], "KID": [30.0, 90.0], "sd": [np.nan, 15.0]})
    figure, _ = figures.ranking(table, "KID", rows)
    (axes,) = figure.axes
    (mean,) = axes.containers
    each = [
        np.asarray(line.get_xdata()).tolist() for line in axes.lines if line.get_marker() == "|"
    ]
    few = len(seeds) == 2
    assert vars(mean)["has_xerr"] == (not few) and (seeds in each) == few
    low, high = axes.get_xlim()
    assert inside(figure) and low < min(seeds) and max(seeds) < high


def test_a_level_far_from_a_ranking_is_written_at_its_end():
    table = pd.DataFrame({"method": ["teacher", "mse"], "KID": [3.0, 90.0], "sd": np.nan})
    figure, _ = figures.ranking(table, "KID")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["← teacher, 3.00"] and inside(figure)
    assert axes.get_xlim()[0] > 3 * 4


def test_methods_of_several_papers_are_told_apart():
    methods = ["control", "NICKEL & DiME", "SDAKD", "CAGC", "DiME", "mse"]
    assert len(set(figures.colours(methods).values())) == len(methods)
    looks = markers(methods)
    assert len(set(looks.values())) == len(methods) and looks["control"] == MARKERS["control"]
    assert markers(["SDAKD", "naive"]) == {"SDAKD": "o", "naive": "s"}


def test_equilibrium_draws_logits_at_the_end_and_over_training():
    g = torch.Generator().manual_seed(0)
    labels = ["generated p = 0.7", "real p = 0.7", "generated p = 0.9", "real p = 0.9"]
    panels = {
        title: {k: torch.randn(40, generator=g) + shift for k in labels}
        for title, shift in (("D_S", 0.0), ("D_T", -3.0))
    }
    found = [(title, label, n, n / 10) for title in panels for label in labels[::2] for n in (1, 2)]
    traces = pd.DataFrame(found, columns=["panel", "label", "step", "value"])
    figure, counts, moments = figures.equilibrium(panels, traces.assign(seed=0))
    for title in panels:
        assert counts.loc[counts["panel"] == title, labels].sum().tolist() == [40] * 4
    assert moments["mean"].iloc[4] == pytest.approx(panels["D_T"][labels[0]].mean().item())
    hist, trace, *_ = figure.axes
    first = counts.query("panel == 'D_S'")
    assert outlines(hist) == {label: first[label].tolist() for label in labels}
    assert lines(hist)["equilibrium: 0"][0] == lines(trace)["equilibrium: 0"][1] == [0, 0]
    drawn = [np.asarray(line.get_data()).tolist() for line in trace.lines[:2]]
    assert inside(figure) and drawn == [[[1, 2], [0.1, 0.2]]] * 2
    assert "one seed" in figure.axes[-1].get_xlabel()
    shades = {to_hex(line.get_color()).upper() for line in trace.lines[:2]}
    assert len(shades) == 2 and not shades & set(figures.COLOURS.values())
    titles = [axes.get_title(loc="left") for axes in figure.axes[::2]]
    assert titles == ["$D_S$", "$D_T$"]
    moved = [panels["D_S"][label].mean().item() for label in labels[::2]]
    values = [text.get_text() for text in hist.texts if text.get_text()]
    assert values == [f"{mean:.1f}".replace("-", "−") for mean in moved]
    far = {"D": {labels[0]: torch.full((9,), 20.0)}}
    away = pd.DataFrame([("D", labels[0], 1, -9.0)], columns=traces.columns)
    one, _, _ = figures.equilibrium(panels, traces, beside=(far, away))
    other, _, _ = figures.equilibrium(far, away, beside=(panels, traces))
    for pair in (figure.axes, [*one.axes, *other.axes]):
        assert len({axes.get_xlim() for axes in pair[::2]}) == 1
        assert len({axes.get_ylim() for axes in pair[1::2]}) == 1
    assert one.axes[0].get_xlim()[1] > 20 and one.axes[1].get_ylim()[0] < -9


def test_a_method_has_one_colour_and_no_two_labels_share_one():
    found = figures.colours(["ITGC", "mse", "joint 0.1", "joint 0.0001", "regular"])
    assert list(found) == ["ITGC", "mse", "joint 0.1", "joint 0.0001", "regular"]
    assert found["mse"] == figures.COLOURS["mse"]
    assert found["joint 0.1"] == figures.COLOURS["joint"]
    assert len(set(found.values())) == 5
    texts = figures.colours(["MSE student", "joint, alpha 0.1"])
    assert list(texts.values()) == [figures.COLOURS["mse"], figures.COLOURS["joint"]]


def test_what_is_no_method_has_the_colour_of_none():
    assert not set(figures.SPARE) & set(figures.COLOURS.values())
    panels = {"C = 1/2": {"teacher's D": torch.rand(9), "student's D": torch.rand(9)}}
    figure, _, _ = figures.probability_histograms(panels)
    patches = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    drawn = [to_hex(patch.get_edgecolor()).upper() for patch in patches]
    assert len(set(drawn)) == 2 and not set(drawn) & set(figures.COLOURS.values())


@pytest.mark.parametrize(
    ("means", "scale"),
    [((10.0, 90.0, 20.0), "log"), ((60.0, 90.0, 70.0), "linear"), ((-1.0, 90.0, 20.0), "linear")],
)
def test_a_panel_of_the_front_figure_draws_roles_levels_and_pictures(means, scale):
    scores = pd.DataFrame(
        {
            "method": ["teacher", "alone", "taught"],
            "ratio": [1.0, 9.1, 21.6],
            "mean": means,
            "std": [math.nan, 1.0, math.nan],
        }
    )
    panel = figures.Panel("A", scores, "distance", {"teacher": torch.zeros(2, 1, 8, 8)})
    figure = figures.front([panel])
    quality, *strips = figure.axes
    assert len(strips) == 1 and quality.get_yscale() == scale and inside(figure)
    assert ("log scale" in quality.get_ylabel()) == (scale == "log")
    low, high = quality.get_ylim()
    assert low <= min(means) and high > 90 and (scale == "log" or low <= 0)
    shades = {line.get_color() for line in quality.lines if line.get_marker() in ("s", "o")}
    assert shades == {figures.COLOURS["regular"], figures.COLOURS["mse"]}
    assert [text.get_text() for text in quality.get_xticklabels()] == ["9.1", "22"]
    assert [text.get_text() for text in quality.texts] == [f"teacher, {means[0]:.0f}"]


def test_methods_of_one_ratio_are_side_by_side_with_names_and_means():
    scores = pd.DataFrame(
        {
            "method": ["teacher", "naive", "control", "SDAKD"],
            "ratio": [1.0, 87.7, 87.7, 87.7],
            "mean": [67.0, 83.0, 80.0, 135.0],
            "std": math.nan,
        }
    )
    pictures = {"teacher": torch.zeros(2, 1, 8, 8)}
    wide = figures.Panel("A", scores.assign(ratio=[1.0, 2.0, 4.0, 8.0]), "distance", pictures)
    narrow = figures.Panel("B", scores, "distance", pictures | {"SDAKD": pictures["teacher"]})
    figure = figures.front([wide, narrow])
    quality = figure.axes[1]
    assert len(figure.axes) == 5 and inside(figure)  # A has no second picture
    assert {"83", "80", "135"} < {text.get_text() for text in quality.texts}
    named = [text.get_text() for text in quality.get_xticklabels()]
    assert named == ["naive", "control", "SDAKD"]
    dots = {label: tuple(x) for label, (x, _) in lines(quality).items()}
    assert len(set(dots.values())) == 3 and not quality.get_legend()
    assert quality.get_xlabel().startswith("88 times")
