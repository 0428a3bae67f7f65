"""docs/first-figure.md: what the demo trains, prunes and tunes."""

from collections.abc import Iterator

from said.sentences import Said, said
from said.tables import plain, table, times, word

PAGE = "first-figure.md"
SECTIONS = ("First figure in ten minutes",)
GIVEN = (r"Python 3\.11 or newer", r"about 6 GB of disk", r"!\[Figure 2 of the demo\]")


def sentences() -> Iterator[Said]:
    """Say every number of the demo, from its measures."""
    measures = table("demo", "measures")
    pruned = measures[measures["mode"] != "control"]
    networks = word(measures["model"].nunique())
    yield said("you have trained, pruned and measured {} small networks", networks)
    (images,) = {*(measures["train_examples"] + measures["test_examples"])}
    yield said(
        "{} small networks, one of each family of the paper, on the {} handwritten digits",
        networks,
        plain(images, 0),
    )
    yield said(
        "Each is trained {}, its last layer pruned by {} modes at {} ratios, fine-tuned for {} epochs",
        times(measures["trial"].nunique()),
        word(pruned["mode"].nunique()),
        word(pruned["ratio"].nunique()),
        f"{measures['epoch'].max()}",
    )
