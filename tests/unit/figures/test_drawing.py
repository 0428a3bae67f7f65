"""Each figure of the paper holds the curves that it must hold, and looks as it must."""

from functools import cache
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from figure_measures import METRICS, MODES, ONE, RATIOS, THREE, measures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from ap3.errors import UserError
from ap3.figures import Roles, describe, draw, names
from ap3.figures.look import CONTROL, mode_looks, ratio_looks

BOTH = ("modes", "ratios")

# What the paper shows: networks, data sets, metrics, splits of PD, what panels are named by.
PAPER = {
    "fig02": (["resnet"], ["cifar10", "cifar100"], ["ap2"], ["test"], BOTH),
    "fig03": (["vgg"], ["cifar10", "cifar100"], ["ap2"], ["test"], BOTH),
    "fig04": (["vgg", "resnet"], ["tiny-imagenet"], ["ap2"], ["test"], BOTH),
    "fig05": (["resnet"], ["cifar10", "cifar100"], ["ap3_student_t"], ["test"], BOTH),
    "fig06": (["vit"], ["tiny-imagenet"], ["ap3_student_t"], ["test"], BOTH),
    "fig07": (["vgg"], ["cifar10"], ["ap2", "ap3_student_t"], [], ("ratios",)),
    "fig08": (["alexnet"], ["cifar10", "cifar100"], ["ap2"], ["test"], BOTH),
    "fig09": (["alexnet"], ["cifar10", "cifar100"], ["ap2"], ["train"], BOTH),
    "fig10": (["resnet"], ["cifar10", "cifar100"], ["ap2"], ["train"], BOTH),
    "fig11": (["vgg"], ["cifar10", "cifar100"], ["ap2"], ["train"], BOTH),
    "fig12": (["resnet"], ["cifar10"], ["ap3_nondiagonal"], ["train", "test"], BOTH),
    "fig13": (["resnet"], ["cifar10", "cifar100"], ["ap3_student_t"], ["train"], BOTH),
    "fig14": (
        ["alexnet"], ["cifar10", "cifar100"], ["ap3_student_t"], ["train", "test"], ("modes",)
    ),
    "fig15": (
        ["alexnet"], ["cifar10", "cifar100"], ["ap3_student_t"], ["train", "test"], ("ratios",)
    ),
    "fig16": (["vgg"], ["cifar10", "cifar100"], ["ap3_student_t"], ["train", "test"], ("modes",)),
    "fig17": (["vgg"], ["cifar10", "cifar100"], ["ap3_student_t"], ["train", "test"], ("ratios",)),
    "fig18": (["alexnet"], ["cifar10"], ["ap2", "ap3_student_t"], [], ("ratios",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def three():
    return measures(THREE)


@pytest.fixture(scope="module")
def drawn(three):
    """Return how to have a figure of the package as it is, drawn once for all tests."""
    return cache(lambda figure: draw(describe(figure), three, THREE))


def expected(figure):
    """Return the axes that `figure` must have, each with the columns of its curves by variant."""
    networks, data, metrics, splits, panels = PAPER[figure]
    axes = {}
    for network, dataset, by in product(networks, data, panels):
        for row in splits or metrics:
            columns = [metrics[0], f"{row}_pd_accuracy"] if splits else [row]
            control = {("control", 0.0): columns[-1:]} if splits else {}
            for name in MODES if by == "modes" else RATIOS:
                modes, ratios = ([name], RATIOS) if by == "modes" else (MODES, [name])
                title = name if by == "modes" else f"ratio {name}"
                pruned = dict.fromkeys(product(modes, ratios), columns)
                axes[f"{dataset}/small_{network}/{row}/{title}"] = pruned | control
    return axes


@pytest.fixture(scope="module")
def by_trial(three):
    """Return how to look up what a curve must show, (trials, epochs 1 to 4), read row by row."""
    table = {
        tuple(row[key] for key in ("dataset", "model", "mode", "ratio", "trial", "epoch")): row
        for row in three.to_dict("records")
    }

    def values(dataset, model, mode, ratio, column):
        unit = 100 if column.endswith("accuracy") else 1
        place = (dataset, model, mode, float(ratio))
        return np.array([[unit * table[*place, t, e][column] for e in range(1, 5)] for t in (0, 1)])

    return values


def zero_tick(axes):
    labels = list(axes.yaxis.get_major_formatter().seq)
    return axes.get_yticks()[labels.index("0")] if "0" in labels else None


def zero_strip(axes):
    strip = next(patch for patch in axes.patches if patch.get_gid() == "floor")
    return strip.get_y(), strip.get_y() + strip.get_height()


def lines(axes):
    return {line.get_gid(): line for line in axes.lines}


def test_the_paper_has_eighteen_figures():
    assert names() == ["fig01", *PAPER]


@pytest.mark.parametrize("figure", PAPER)
def test_a_figure_holds_the_panels_and_curves_of_the_paper(figure, drawn):
    panels = drawn(figure).axes
    must = expected(figure)
    assert len(panels) == len(must)
    assert {axes.get_gid() for axes in panels} == set(must)
    for axes in panels:
        place = "/".join(axes.get_gid().split("/")[:2])
        curves = {
            f"{place}/{mode}/{ratio}/{column}"
            for (mode, ratio), columns in must[axes.get_gid()].items()
            for column in columns
        }
        assert set(lines(axes)) == curves | {f"{curve}/trials" for curve in curves}
        assert axes.get_yscale() == "log"


@pytest.mark.parametrize("figure", ["fig02", "fig04", "fig07", "fig12", "fig15"])
def test_curves_are_means_of_the_table_and_dots_are_its_trials(figure, by_trial, drawn):
    zeros = 0
    for axes in drawn(figure).axes:
        top = zero_strip(axes)[1] if zero_tick(axes) else 0
        for gid, line in lines(axes).items():
            *curve, dots = (gid if gid.endswith("/trials") else f"{gid}/").split("/")
            values = by_trial(*curve)
            wanted = values.ravel() if dots else values.mean(axis=0)
            zeros += (wanted == 0).sum()
            np.testing.assert_allclose(line.get_ydata()[wanted > 0], wanted[wanted > 0], rtol=1e-12)
            assert (line.get_ydata()[wanted == 0] < top).all()
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4] * (2 if dots else 1))
    assert zeros > 0 or figure == "fig07"


def test_a_zero_stands_at_a_marked_floor_below_every_positive_value(drawn):
    most = 0
    for axes in drawn("fig02").axes:
        floor = zero_tick(axes)
        bottom, top = zero_strip(axes)
        assert bottom == axes.get_ylim()[0] < floor < top
        zeros = {}
        for gid, line in lines(axes).items():
            low = line.get_ydata()[line.get_ydata() < top]
            assert (low > bottom).all()
            zeros.setdefault(gid.removesuffix("/trials"), set()).update(low)
        lanes = [lane for own in zeros.values() for lane in own]
        assert all(len(own) <= 1 for own in zeros.values())
        assert len(set(lanes)) == len(lanes)  # no two curves of zeros on one another
        most = max(most, len(lanes))
    assert most > 1


def test_without_zeros_there_is_no_floor(drawn):
    for axes in drawn("fig07").axes:
        assert zero_tick(axes) is None
        assert "floor" not in [patch.get_gid() for patch in axes.patches]


def test_a_metric_is_solid_and_its_pd_dashed_in_the_same_colour(drawn):
    styles = {}
    for axes in drawn("fig02").axes:
        means = {gid: line for gid, line in lines(axes).items() if not gid.endswith("/trials")}
        for gid, line in means.items():
            assert line.get_linestyle() == ("--" if "_pd_" in gid else "-")
            variant = gid.rsplit("/", 1)[0]
            style = (line.get_color(), line.get_marker())
            assert styles.setdefault((axes.get_gid(), variant), style) == style
        looks = {(line.get_color(), line.get_marker()) for line in means.values()}
        assert len(looks) == len(means) // 2 + 1  # one per variant, and the control


def test_colours_are_told_apart_by_the_colour_blind_and_in_grey():
    okabe_ito = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"}
    modes = [look.color for look in mode_looks(MODES).values()]
    assert len({*modes} & okabe_ito) == len(MODES)
    greys = [
        np.dot(to_rgb(look.color), (0.2126, 0.7152, 0.0722))
        for look in ratio_looks(RATIOS).values()
    ]
    assert (np.diff(greys) > 0.08).all()
    looks = [*mode_looks(MODES).values(), *ratio_looks(RATIOS).values(), CONTROL]
    assert len({look.marker for look in looks}) == len({look.color for look in looks}) == 8


@pytest.mark.parametrize(
    ("figure", "texts"),
    [
        ("fig02", [*MODES, *(f"ratio {r}" for r in RATIOS), "not pruned", "AP2, mean", "PD, mean"]),
        ("fig14", [*(f"ratio {r}" for r in RATIOS), "not pruned", "AP3, mean", "PD, mean"]),
        ("fig15", [*MODES, "not pruned", "AP3, mean", "PD, mean"]),
        ("fig18", [*MODES, "mean"]),
    ],
)
def test_a_figure_has_one_legend_that_explains_all_its_lines(figure, texts, drawn):
    (legend,) = drawn(figure).legends
    assert all(axes.get_legend() is None for axes in drawn(figure).axes)
    shown = [text.get_text() for text in legend.get_texts() if text.get_text().strip()]
    assert sorted(shown) == sorted([*texts, "one trial"])


def test_a_single_trial_is_drawn_without_dots_or_talk_of_means():
    alone = draw(describe("fig06"), measures(THREE, trials=1), THREE)
    assert not [g for axes in alone.axes for g in lines(axes) if g.endswith("/trials")]
    texts = {text.get_text() for text in alone.legends[0].get_texts()}
    assert {"AP3", "PD"} <= texts
    assert "one trial" not in texts


def test_both_rows_of_a_comparison_span_the_same_number_of_decades(drawn):
    limits = {axes.get_ylim() for axes in drawn("fig07").axes}
    assert len(limits) == 2
    heights = [np.log10(high / low) for low, high in limits]
    assert heights[0] == pytest.approx(heights[1])


def test_two_slots_of_one_data_set_are_drawn_once():
    panels = draw(describe("fig02"), measures(ONE), ONE).axes
    assert len(panels) == 7
    assert {axes.get_gid().split("/")[0] for axes in panels} == {"digits"}


def test_the_schematic_needs_no_data():
    (axes,) = draw(describe("fig01"), None, Roles({}, {})).axes
    shown = " ".join(text.get_text() for text in axes.texts)
    for piece in ("AP2", "AP3", r"G(\omega, \Sigma)", r"G(\tilde{\omega}, \tilde{\Sigma})"):
        assert piece in shown


@pytest.mark.parametrize(
    ("figure", "changes"),
    [
        ("fig01", {}),
        ("fig02", {}),
        ("fig02", {"width": 3.5}),
        ("fig07", {}),
        ("fig07", {"width": 3.5}),
        ("fig12", {}),
    ],
)
def test_no_text_is_small_or_overlaps_another_or_leaves_the_page(figure, changes, three):
    page = draw(describe(figure, changes), three, THREE)
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    texts = [text for text in page.findobj(Text) if text.get_text().strip() and shown(text)]
    boxes = [(text, text.get_window_extent(canvas.get_renderer())) for text in texts]
    assert len(boxes) > 8
    for text, box in boxes:
        assert text.get_size() >= 6.5, text
        assert page.bbox.x0 <= box.x0, text
        assert box.x1 <= page.bbox.x1, text
        assert page.bbox.y0 <= box.y0, text
        assert box.y1 <= page.bbox.y1, text
    for (text, box), (other, its) in combinations(boxes, 2):
        assert not box.overlaps(its), (text, other)


def shown(text):
    return text.get_visible() and (text.axes is None or text.get_window_extent().width > 0)


def test_one_epoch_of_fine_tuning_is_enough():
    for axes in draw(describe("fig06"), measures(THREE, epochs=1), THREE).axes:
        assert all(line.get_marker() not in ("", "None") for line in axes.lines)
        assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]


def test_the_description_chooses_modes_ratios_control_epochs_and_performance(three):
    changes = {
        "modes": ["random", "lowest"],
        "ratios": [0.5],
        "control": False,
        "first_epoch": 0,
        "pd": "loss",
        "panels": ["modes_per_ratio"],
    }
    (axes,) = draw(describe("fig06", changes), three, THREE).axes
    means = [gid for gid in lines(axes) if not gid.endswith("/trials")]
    place = "tiny-imagenet/small_vit"
    assert means == [
        f"{place}/{mode}/0.5/{column}"
        for mode in ("random", "lowest")
        for column in ("ap3_student_t", "test_pd_loss")
    ]
    line = lines(axes)[f"{place}/random/0.5/test_pd_loss"]
    rows = three.query("model == 'small_vit' and dataset == 'tiny-imagenet' and ratio == 0.5")
    wanted = rows.query("mode == 'random' and epoch == 0")["test_pd_loss"].mean()
    assert line.get_xdata()[0] == 0
    assert line.get_ydata()[0] == pytest.approx(wanted)


@pytest.mark.parametrize("metric", METRICS)
def test_any_metric_of_the_table_can_be_drawn(metric, three):
    first = draw(describe("fig06", {"metrics": [metric]}), three, THREE).axes[0]
    assert f"tiny-imagenet/small_vit/lowest/0.1/{metric}" in lines(first)


def test_other_ratios_and_criteria_than_the_papers_find_their_place():
    table = measures(THREE, ratios=(0.25, 0.9)).replace({"mode": {"random": "movement"}})
    titles = [axes.get_title("left") for axes in draw(describe("fig06"), table, THREE).axes]
    assert titles == ["lowest", "highest", "movement", "ratio 0.25", "ratio 0.9"]


def refusal(table, figure="fig02", roles=THREE):
    with pytest.raises(UserError) as refused:
        draw(describe(figure), table, roles)
    return str(refused.value)


def test_a_role_that_is_not_mapped_is_refused_by_name(three):
    said = refusal(three, roles=Roles({"vgg": "small_vgg"}, THREE.data))
    assert "fig02" in said
    assert "'resnet'" in said
    assert "vgg=small_vgg" in said
    said = refusal(three, roles=Roles(THREE.networks, {"ten_classes": "cifar10"}))
    assert "'hundred_classes'" in said
    assert "ten_classes=cifar10" in said


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("dataset == 'cifar100'", "small_resnet on cifar100"),
        ("dataset == 'cifar100' and ratio == 0.3", "mode highest, ratio 0.3, epoch 1"),
        ("dataset == 'cifar10' and mode == 'random' and trial == 1", "trial 1, mode random"),
        ("dataset == 'cifar10' and mode == 'control' and trial == 0", "mode control, ratio 0.0"),
        ("mode == 'lowest' and ratio == 0.8 and epoch == 3 and trial == 1", "epoch 3"),
        ("mode != 'control'", "no pruned variant"),
        ("dataset == 'cifar100' and epoch > 0", "small_resnet on cifar100 from epoch 1"),
        ("mode == 'lowest' and dataset == 'cifar10' and epoch == 4", "epoch 4"),
    ],
)
def test_missing_rows_are_refused_by_name(missing, words, three):
    said = refusal(three.query(f"not ({missing})"))
    assert "fig02" in said
    assert words in said


def test_a_ratio_named_by_the_description_must_be_there(three):
    with pytest.raises(UserError, match=r"ratio 0\.7"):
        draw(describe("fig02", {"ratios": [0.1, 0.7]}), three, THREE)


def test_a_row_that_is_there_twice_is_refused(three):
    twice = three.query("trial == 1 and mode == 'lowest' and ratio == 0.1")
    said = refusal(pd.concat([three, twice]))
    assert "twice" in said
    assert "trial 1, mode lowest, ratio 0.1" in said


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e-3, "oops"])
def test_a_value_that_cannot_be_drawn_is_refused_by_its_place(value, three):
    table = three.astype({"ap2": object}) if isinstance(value, str) else three.copy()
    row = three.query(
        "dataset == 'cifar10' and model == 'small_resnet' and epoch == 2 and trial == 1"
    ).index[3]
    table.loc[row, "ap2"] = value
    said = refusal(table)
    assert "ap2" in said
    assert "trial 1, mode lowest, ratio 0.8, epoch 2" in said


def test_a_missing_column_is_refused_with_the_nearest(three):
    said = refusal(three.rename(columns={"test_pd_accuracy": "test_pd_acuracy"}))
    assert "'test_pd_accuracy'" in said
    assert "did you mean 'test_pd_acuracy'?" in said
