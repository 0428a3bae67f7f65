"""How things look and what they are called: colours, markers, names for the reader.

Importing it is cheap, so that a workflow can name things too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ap3.measuring import catalogue


@dataclass(frozen=True)
class Look:
    """The colour and the marker of one mode, ratio or control, the same all over a figure."""

    label: str
    color: str
    marker: str


# Modes are kinds: hues of Okabe and Ito, told apart under every colour blindness. Ratios are an
# order: a ramp of lightness, told apart in grey as well. Markers say both again.
_MODE_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_MODE_MARKERS = ["v", "^", "o", "s", "D", "P"]
_RATIO_MARKERS = ["s", "D", ">", "<", "P", "X", "p"]

CONTROL = Look("not pruned", "0.6", "x")
TRIAL: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 1.7,
    "markeredgewidth": 0,
    "alpha": 0.45,
    "zorder": 1.5,
}

_NAMES = {
    "alexnet": "AlexNet",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "digits": "digits",
    "fashion-mnist": "Fashion-MNIST",
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "shufflenet_v2_x0_5": "ShuffleNet V2 ×0.5",
    "small_alexnet": "small AlexNet",
    "small_resnet": "small ResNet",
    "small_vgg": "small VGG",
    "small_vit": "small ViT",
    "tiny-imagenet": "Tiny-ImageNet",
    "vgg16": "VGG16",
    "vit_b_16": "ViT-B/16",
}


def mode_looks(modes: Sequence[str]) -> dict[str, Look]:
    """Return each mode's look."""
    count = len(_MODE_COLORS)
    return {
        mode: Look(name_title(mode), _MODE_COLORS[i % count], _MODE_MARKERS[i % count])
        for i, mode in enumerate(modes)
    }


def ratio_looks(ratios: Sequence[float]) -> dict[float, Look]:
    """Return each ratio's look, from dark to light."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    steps = max(len(ratios) - 1, 1)
    return {
        ratio: Look(
            ratio_title(ratio),
            to_hex(colormaps["plasma"](0.02 + 0.76 * i / steps)),
            _RATIO_MARKERS[i % len(_RATIO_MARKERS)],
        )
        for i, ratio in enumerate(ratios)
    }


def ratio_title(ratio: float) -> str:
    """Return how a ratio is written: `ratio 0.3`."""
    return f"ratio {ratio:g}"


def metric_name(metric: str) -> str:
    """Return a metric's short name; one unknown here keeps its column's name."""
    return catalogue.named(metric).axis if catalogue.is_known(metric) else metric


def metric_title(metric: str) -> str:
    """Return a metric's name with what it measures."""
    measure = catalogue.named(metric)
    return (measure.title or measure.name) if catalogue.is_known(metric) else metric


def measure_name(measure: str) -> str:
    """Return a measure's name among others; of a latent law of the user's, that of the function.

    >>> measure_name("ap3_student_t"), measure_name("ap3_own_my_law")
    ('AP3 Student-t', 'AP3 my law')
    """
    return catalogue.named(measure).name


def name_title(name: str) -> str:
    """Return how a network or data set is written; one unknown here keeps its name.

    Of a user's own `module:function` the function is written, of `folder:PATH` the last folder.

    >>> name_title("vgg16"), name_title("my_nets:tiny"), name_title("folder:pictures/birds")
    ('VGG16', 'tiny', 'birds')
    """
    return _NAMES.get(name, name.rpartition(":")[2].rpartition("/")[2])


def factor(column: str) -> float:
    """Return the factor from the table to the axis: accuracies are drawn in percentage points."""
    return 100.0 if column.removesuffix("_signed").endswith("_pd_accuracy") else 1.0


def pd_unit(column: str) -> str:
    """Return the unit in which a column of PD is drawn."""
    return "% points" if column.removesuffix("_signed").endswith("_pd_accuracy") else "loss"
