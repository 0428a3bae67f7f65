"""Say how far the bound through the layers is from the PD: `python docs/spectral_chain.py`.

Takes the networks of the study `demo` (`snakemake demo`) that are plain chains, prunes one layer at a
time by lowest magnitude, and writes docs/results/spectral_chain/spectral_chain.csv and the table between the
marks of docs/theory.md. With `--stored` it takes what is stored.
"""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
PAGE = DOCS / "theory.md"
STORED = DOCS / "results" / "spectral_chain" / "spectral_chain.csv"
STUDY = DOCS.parent / "results"
BEGIN, END = "<!-- chain -->\n", "<!-- end of chain -->"
MODELS, TRIALS, RATIOS, EXAMPLES = ("small_alexnet", "small_vgg"), (1, 2), (0.1, 0.5), 512


def main() -> None:
    """Measure, unless told to take what is stored, and set the page's table."""
    if "--stored" not in sys.argv[1:]:
        STORED.parent.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(rows())
        table.to_csv(STORED, index=False, float_format="%.6g", lineterminator="\n")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def rows() -> Iterator[dict]:
    """Prune every layer of every network: PD of the training loss and the bound on it."""
    import torch

    from ap3.datasets.images import Images
    from ap3.models.checkpoint import Checkpoint

    data = Images.load(STUDY / "data" / "digits.safetensors")
    for model in MODELS:
        for trial in TRIALS:
            path = STUDY / "demo" / "digits" / model / f"trial{trial}" / "baseline.safetensors"
            known = Checkpoint.load(path, torch.device("cpu"))
            images = known.identity.view.still(torch.from_numpy(data.train_images[:EXAMPLES]))
            labels = torch.from_numpy(data.train_labels[:EXAMPLES])
            for row in of_network(known.model.eval(), images, labels):
                yield {"model": model, "trial": trial} | row


def of_network(model, images, labels) -> Iterator[dict]:
    """Prune every layer of one network."""
    import torch
    from torch import nn

    from ap3.measuring.spectral_chain import chain_of, spectral_chain
    from ap3.pruning.masks import pruning_mask

    def loss(network):
        with torch.no_grad():
            return nn.functional.cross_entropy(network(images).double(), labels).item()

    before = loss(model)
    weighted = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for name in weighted:
        for ratio in RATIOS:
            pruned = copy.deepcopy(model)
            weight = pruned.get_submodule(name).weight.data
            weight *= pruning_mask(weight, "lowest", ratio)
            bound = spectral_chain(chain_of(model, pruned, images)).sum()
            yield {
                "layer": name,
                "above": len(weighted) - 1 - weighted.index(name),
                "ratio": ratio,
                "pd_loss": abs(loss(pruned) - before),
                "bound": bound,
            }


def with_table(page: str) -> str:
    """Return the page with its table as the results have it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "".join(f"{line}\n" for line in lines(pd.read_csv(STORED)))
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def lines(table: pd.DataFrame) -> Iterator[str]:
    """Lay out the median over the trainings, a row per layer, in Markdown."""
    ratios = sorted(set(table["ratio"]))
    cells = [f"{what}, ratio {ratio:g}" for ratio in ratios for what in ("PD", "bound")]
    yield f"| network | layer | {' | '.join(cells)} |"
    yield "|---" * (len(cells) + 2) + "|"
    medians = table.groupby(["model", "layer", "ratio"], sort=False)[["pd_loss", "bound"]].median()
    for model, layer in dict.fromkeys(zip(table["model"], table["layer"], strict=True)):
        found = [medians.loc[(model, layer, ratio)] for ratio in ratios]
        cells = [f"{each[name]:.2g}" for each in found for name in ("pd_loss", "bound")]
        yield f"| `{model}` | `{layer}` | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
