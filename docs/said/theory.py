"""docs/theory.md: how far the bounds are from what they bound."""

from collections.abc import Iterator

from said.sentences import Said, said
from said.tables import plain, rows, table, word

PAGE = "theory.md"
SECTIONS = (
    "Bounds that need no latent law",
    "Along fine-tuning",
    "The chain through the layers",
)
GIVEN = (
    r"(?:Eqs?\.|Cor\.|Def\.|Thm|Lemma|Theorem) \d+(?:\.\d)?(?: and \d+)?",
    r"^> .*?$",  # formulas
    r"the tests hold it to 10⁻¹² nats",
    r"the mean of 1 − t under",
    r"lies\s+between\s+0 and 1\.",
    r"√\(2 KL\(",
    r"ε⁽ˡ⁾ = 0",
    r"g\(0\) = 0",
    r"1 of a ReLU",
    r"2 of\s+AlexNet's overlapping maxima",
    r"512 training images",
    r"E\[1/P²\] = ∫ 1/P dz",
    r"lacks a\s+factor [23]",
    r"aᵀb ≥ 0\.",
    r"bound of 2 \(‖Δ‖²/\(2T",
)


def sentences() -> Iterator[Said]:
    """Say every number of these sections, from the tables."""
    yield said(
        "`demo` is the study of `config.yaml` ({} trainings of {} networks, {} variants, epochs {} to {})",
        *size("demo"),
        *(plain(end, 0) for end in epochs("demo")),
    )
    trainings, networks, variants = size("fashion")
    yield said(
        "`fashion` {} networks of torchvision on Fashion-MNIST ({} trainings of each, {} variants)",
        networks,
        trainings,
        variants,
    )
    behind = (rows_of(study, "after") / rows_of(study, "before") for study in ("demo", "fashion"))
    yield said(
        "in one of the {} rows behind a median after fine-tuning in `demo`, and of the {} in `fashion`",
        *(plain(each, 0) for each in behind),
    )
    demo = table("demo", "measures")
    largest = demo.loc[demo["epoch"] == 0, "train_pd_loss"].max()
    yield said("up to {} nats before fine-tuning in `demo`", plain(largest, 1))
    trials = table("spectral_chain", "spectral_chain")["trial"].nunique()
    yield said("medians over the {} trainings of `demo`", word(trials))


def size(study: str) -> tuple[str, str, str]:
    """Return the trainings, networks and variants that the bounds are counted over."""
    measures = table(study, "measures")
    found = word(measures["trial"].nunique()), word(measures["model"].nunique())
    return *found, plain(rows_of(study, "before"), 0)


def epochs(study: str) -> tuple[int, int]:
    """Return the first and the last epoch."""
    found = table(study, "measures")["epoch"]
    return found.min(), found.max()


def rows_of(study: str, phase: str) -> int:
    """Return how many rows the bounds are counted over, before or after fine-tuning."""
    found = rows("bounds", "bound_sizes", bound="along_fine_tuning", phase=phase)
    (count,) = found.loc[found["study"] == study, "n"]
    return count
