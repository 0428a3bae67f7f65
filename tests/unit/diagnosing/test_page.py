import re

import numpy as np
import pandas as pd
from torch import nn

from ap3.diagnosing.page import page
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
