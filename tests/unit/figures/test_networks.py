"""The two figures of a study over any layers show every layer and mode."""

import numpy as np
import pandas as pd
import pytest

from ap3.figures.networks import draw_prediction, draw_sensitivity


def single(modes=("lowest",), ratios=(0.3, 0.6), trials=(1, 2)):
    return pd.DataFrame(
        {
            **{"dataset": "digits", "model": "small_vgg", "trial": trial, "mode": mode},
            **{"batch_norm": "kept", "epoch": 0, "ratio": ratio, "layer": layer, "depth": depth},
            "test_pd_loss": 0.01 * depth * trial,
        }
        for mode in modes
        for ratio in ratios
        for trial in trials
        for depth, layer in enumerate(("conv", "fc"), 1)
    )


def lines(place):
    return {line.get_gid().rpartition("/")[2]: line for line in place.get_lines()}


def test_a_line_for_each_layer_through_the_means_of_the_trainings():
    (place,) = draw_sensitivity(single()).axes
    assert place.get_title(loc="left") + place.get_title() == "small VGG, BatchNorm kept"
    assert [*lines(place)] == ["conv", "fc"]
    np.testing.assert_allclose(lines(place)["fc"].get_xydata(), [[0.3, 0.03], [0.6, 0.03]])


def test_layers_of_one_ratio_are_points_beside_each_other():
    (place,) = draw_sensitivity(single(ratios=(0.5,))).axes
    points = [line.get_xydata().tolist() for line in place.get_lines()]
    np.testing.assert_allclose(points, [[[1, 0.015]], [[2, 0.03]]])
    assert all(line.get_marker() == "o" for line in place.get_lines())
    assert "0.5" in place.get_xlabel()


@pytest.mark.parametrize("draw", [draw_sensitivity, draw_prediction])
def test_every_mode_has_a_panel_of_its_own(draw):
    table = single(modes=("rows", "low_rank")).assign(allocation="random 1", ap3_gaussian=0.1)
    places = draw(table).axes
    assert [place.get_gid() for place in places] == [
        "digits/small_vgg/kept/rows",
        "digits/small_vgg/kept/low_rank",
    ]
    titles = [place.get_title(loc="left") + place.get_title() for place in places]
    assert titles == ["small VGG, rows (kept)", "small VGG, low rank (kept)"]
