"""The logarithmic axis with a floor for zero."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ap3.figures.scale import Scale

positive = st.floats(1e-12, 1e12)
values = st.lists(st.just(0.0) | positive, min_size=1, max_size=8)


@given(values)
@example([1.000000000001, 0.5])
def test_the_axis_has_room_for_all_and_keeps_zero_below_all_else(values):
    scale, values = Scale.over(values), np.array(values)
    placed = scale.place(values)
    assert (placed[values > 0] == values[values > 0]).all()
    assert ((values[values > 0] >= scale.low) & (values[values > 0] <= scale.high)).all()
    assert (placed[values == 0] == scale.floor).all()
    assert scale.zeros == (values == 0).any()
    if scale.zeros:
        assert scale.bottom < scale.floor < scale.low


@given(values)
def test_an_axis_has_two_to_eight_ticks_inside_its_limits(values):
    scale = Scale.over(values)
    axes = Figure().add_subplot()
    scale.apply(axes)
    ticks = axes.get_yticks()
    low, high = axes.get_ylim()
    assert 2 <= len(ticks) - scale.zeros <= 8
    assert low * (1 - 1e-9) <= min(ticks)
    assert max(ticks) <= high * (1 + 1e-9)
    labels = [label.get_text() for label in axes.yaxis.get_ticklabels()]
    assert ("0" in labels) == scale.zeros
    assert len(set(labels)) == len(labels)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5, unique=True))
def test_lanes_lie_in_the_strip_from_the_top_down(lanes):
    scale = Scale.over([0.0, 1.0, 10.0])
    heights = [float(scale.place([0.0], lane)[0]) for lane in sorted(lanes)]
    assert heights == sorted(heights, reverse=True)
    assert scale.bottom * (1 - 1e-9) <= heights[-1] <= heights[0] <= scale.low * (1 + 1e-9)
    assert scale.place([2.0], lanes[0])[0] == 2.0


def test_widening_keeps_the_middle():
    scale = Scale.over([0.1, 10.0]).with_decades(4)
    assert (scale.low, scale.high) == (pytest.approx(0.01), pytest.approx(100))
    assert scale.decades == pytest.approx(4)


def test_the_strip_of_zeros_is_the_same_part_of_every_axis():
    parts = []
    for values in ([0, 1, 10], [0, 1e-6, 1e3]):
        scale = Scale.over(values)
        parts.append(np.log(scale.low / scale.bottom) / np.log(scale.high / scale.bottom))
    assert parts == pytest.approx([0.17, 0.17])


def test_zeros_alone_have_an_axis_too():
    scale = Scale.over([0.0, 0.0])
    assert scale.zeros
    assert scale.bottom < scale.place([0.0])[0] < scale.low
