import re

import numpy as np
import pandas as pd
import torch
from torch import nn

from ap3.diagnosing.explain import explain
from ap3.diagnosing.page import page
from ap3.diagnosing.result import cell
from ap3.diagnosing.scan import Scan


def test_a_thousand_layers_fit_in_two_megabytes():
    rng = np.random.default_rng(0)
    rows = [
        {
            "layer": f"encoder.layers.{layer}.attention.output.dense",
            "weights": 1_000_000,
            "ratio": ratio,
            **{f"column_{number}": rng.normal() for number in range(16)},
            "kl_predictions": ratio * rng.random(),
        }
        for layer in range(1000)
        for ratio in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    found = Scan(pd.DataFrame(rows), "a <verdict>", ["& more"], nn.Identity(), [], "lowest", {})
    text = page(found)
    assert len(text.encode()) <= 2_000_000
    assert "A &lt;verdict&gt;" in text
    assert "&amp; more" in text
    assert text.count("<polyline") == 1000
    assert len(re.findall("<tr>", text)) == 5001
    assert not re.search(r"https?:|<link|src=", text)


def test_below_the_layers_stands_the_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    pruned = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned["0.weight"][:4] = 0
    found = explain(network, pruned, [(torch.randn(50, 4), torch.randint(3, (50,)))])
    text = page(found)
    (last,) = re.findall("<tfoot><tr>(.*)</tfoot>", text)
    cells = dict(zip(found.table.columns, last.split("<td>")[1:], strict=True))
    assert cells["layer"] == "network"
    for name in ("ap2", "pd_loss", "pd_loss_se", "kl_predictions"):
        assert cells[name] == cell(found.network[name])
    assert text.index("</tbody>") < text.index("<tfoot>")
    assert "The row of the network is of all changes together." in text
    assert "see whether the second file is the pruned one" in page(
        explain(network, network.state_dict(), [(torch.randn(50, 4), torch.randint(3, (50,)))])
    )
