"""One of two networks diverges: its job says so in a sentence, and the other is finished."""

import re

import pytest
from checkout import MINI, Checkout, configured

pytestmark = pytest.mark.slow

BASELINE = "results/mini/digits/{}/trial1/baseline.safetensors"
PRUNED = "results/mini/digits/{}/trial1/pruned.safetensors"


def test_a_network_that_diverges_is_named_and_the_other_goes_on(mini, cache, tmp_path):
    steep = {"model": "small_alexnet", "epochs": 2, "learning_rate": 1e20}
    config = configured(MINI, {"networks.alexnet": steep, "figures": ["fig01"]})
    checkout = Checkout.make(tmp_path / "checkout", config)
    # The data come from the cache; the network that diverges has its turn first.
    first = BASELINE.format("small_alexnet")
    wanted = [PRUNED.format(model) for model in ("small_alexnet", "small_vgg")]
    options = ("--cache", "--cores", "1", "--prioritize", first, "--", *wanted)
    done = checkout.run(*options, SNAKEMAKE_OUTPUT_CACHE=str(cache))
    printed = done.stdout + done.stderr
    assert done.returncode == 1
    [said] = re.findall("^ap3: (.*)", printed, re.MULTILINE)
    assert said.startswith("digits small_alexnet trial 1 diverged: ")
    assert re.search(r" in epoch 1; lower the learning rate, which is 1e\+20\.$", said)
    assert "Traceback" not in printed
    assert printed.index(said) < printed.index("Prune small_vgg on digits, trial 1")
    assert (checkout.folder / wanted[1]).exists()
    assert not (checkout.folder / first).exists()
