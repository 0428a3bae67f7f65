"""After an edit exactly what depends on it is planned: of a finished study, job by job."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkout import MINI, Checkout, configured

from ap3.pruning.pruned import Pruned

HERE = "small_vgg on digits"


def jobs(*verbs: str, pair: str = HERE, trials: tuple[int, ...] = (1, 2)) -> set[str]:
    return {f"{verb} {pair}, trial {trial}" for verb in verbs for trial in trials}


DRAWN = {"Draw fig03 of study mini"}
THEORY = {"The bounds of study mini"}
EXPLAINED = {"What explains the PD of study mini"}
TABLES = {"Tables of study mini"}
FROM_MEASURES = TABLES | EXPLAINED | DRAWN

MEASURE = jobs("Measure", "Bounds of") | FROM_MEASURES | THEORY
TUNE = jobs("Fine-tune") | MEASURE
PRUNE = jobs("Prune") | TUNE
FEATURES = jobs("Features of") | TUNE
COVARIANCE = {f"Covariance for {HERE}"} | MEASURE
TRAIN = jobs("Train") | FEATURES | PRUNE | COVARIANCE
EVERY_FIGURE = {"Draw fig01 of study mini"} | DRAWN

# What one more statement in a module re-makes.
CODE = {
    "ap3/datasets/digits.py": {"Decode digits"} | TRAIN,
    "ap3/models/small.py": TRAIN,
    "ap3/training/features.py": FEATURES,
    "ap3/pruning/masks.py": PRUNE,
    "ap3/finetuning/head_scope.py": TUNE,
    "ap3/measuring/covariance.py": COVARIANCE,
    "ap3/latent/student_t.py": MEASURE,
    "ap3/measuring/measure.py": jobs("Measure") | FROM_MEASURES,
    "ap3/measuring/bound_formulas.py": jobs("Bounds of") | THEORY,
    "ap3/explaining/averages.py": TABLES,
    "ap3/explaining/mode_contrast.py": EXPLAINED,
    "ap3/figures/bounds.py": THEORY,
}

# What changed text in a file re-makes.
CONTENT = [
    ("ap3/figures/fig03.yaml", "title: ", "title: More of ", DRAWN),
    (
        "ap3/figures/paper.mplstyle",
        "\n",
        "\nlines.markersize: 7\n",
        EVERY_FIGURE | THEORY | EXPLAINED,
    ),
]

VERBS = ("Train", "Features of", "Prune", "Fine-tune", "Measure", "Bounds of")


def whole(pair: str) -> set[str]:
    """Every job of one more network or data set."""
    return jobs(*VERBS, pair=pair) | {f"Covariance for {pair}"}


FASHION = [
    f"{split}-{what}.gz"
    for split in ("train", "t10k")
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
]
NEW_DATA = {f"Fetch {file} of fashion-mnist" for file in FASHION} | {"Decode fashion-mnist"}
AGGREGATES = FROM_MEASURES | THEORY
BASELINE = {"model": "small_vgg", "epochs": 2, "learning_rate": 0.05}

# What changed settings re-make.
SETTINGS = {
    "a ratio": ({"pruning.ratios": [0.3, 0.5, 0.8]}, PRUNE),
    "a mode": ({"pruning.modes": ["lowest", "highest", "random"]}, PRUNE),
    "a trial": ({"trials": 3}, jobs(*VERBS, trials=(3,)) | AGGREGATES),
    "a network": (
        {"networks.resnet": BASELINE | {"model": "small_resnet"}},
        whole("small_resnet on digits") | AGGREGATES - DRAWN,
    ),
    "a data set": (
        {"data.large_images": "fashion-mnist"},
        NEW_DATA | whole("small_vgg on fashion-mnist") | AGGREGATES - DRAWN,
    ),
    "augmentation": ({"training.augmentation": "flip"}, TRAIN | jobs("Views of")),
    "epochs of fine-tuning": ({"finetuning.epochs": 3}, TUNE),
    "a latent law": ({"latent.df": 5}, MEASURE),
    "Monte Carlo": ({"latent.monte_carlo": 10}, jobs("Measure") | FROM_MEASURES),
    "the size of images": ({"image_size": 20}, TRAIN),
    "seed and threads, one for the other": ({"seed": 1, "threads": 2}, TRAIN),
}


@pytest.fixture
def edit(mini):
    """Replaces text in files of the finished study's checkout, and puts it back."""
    before = {}

    def replace(name: str, old: str, new: str) -> None:
        path = mini.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}"
        before.setdefault(path, text)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield replace
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def append(edit, mini, name: str, text: str) -> None:
    content = (mini.folder / name).read_text(encoding="utf-8")
    edit(name, content, content + text)


def test_without_an_edit_nothing_is_planned(planner, mini):
    assert planner.jobs(mini) == set()


def test_what_changes_no_result_re_makes_nothing(planner, mini, edit):
    for name in ("ap3/training/sgd.py", "ap3/files/storage.py", "ap3/stages/baseline.py"):
        edit(name, '"""', '"""Another docstring. ')
        append(edit, mini, name, "\n# A comment.\n")
    for name in ("baseline", "prune", "figure"):
        append(edit, mini, f"workflow/rules/{name}.smk", "\n# A comment.\n")
    edit("ap3/figures/fig03.yaml", "title:", "# A comment.\ntitle:")
    edit("ap3/figures/paper.mplstyle", "\n", "\n# A comment.\n")
    edit("ap3/__init__.py", '__version__ = "', '__version__ = "9.')
    edit(
        "ap3/models/names.py", "FACTORIES = {", 'FACTORIES = {"mine": "ap3.models.small:small_vgg",'
    )
    line = 'DataSet("mine", train=1, test=1, files=sources.CIFAR10),'
    edit("ap3/datasets/__init__.py", "_REGISTRY = (", f"_REGISTRY = ({line}")
    edit("ap3/datasets/sources.py", "CIFAR10 = (", "MINE = ()\nCIFAR10 = (")
    edit("ap3/cli/process.py", "def main", "def other() -> None: ...\n\n\ndef main")
    edit("config.yaml", "{batch_size: 64, momentum: 0.9}", "{momentum: 0.90, batch_size: 64}")
    edit(
        "config.yaml",
        "    finetuning:",
        "    latent: {df: 4.0}\n    validation: 0\n    finetuning:",
    )
    edit("ap3/training/sgd.py", "is no longer finite", "has left the finite numbers")
    edit("ap3/training/sgd.py", 'f"epoch {epoch}"', 'f"pass {epoch}"')
    edit("ap3/machine/progress.py", "examples/s", "images/s")
    edit("ap3/stages/options.py", 'help="', 'help="As it is: ')
    edit("config.yaml", "device: cpu", "device: cpu\ndata_dir: /nowhere")
    for path in [*mini.folder.rglob("*.py"), *mini.folder.glob("results/**/*.safetensors")]:
        os.utime(path)
    assert planner.jobs(mini) == set()


@pytest.mark.parametrize("name", CODE)
def test_an_edit_of_code(planner, mini, edit, name):
    append(edit, mini, name, "\n_EDITED = True\n")
    assert planner.jobs(mini) == CODE[name]


@pytest.mark.parametrize(("name", "old", "new", "expected"), CONTENT, ids=lambda value: "")
def test_an_edit_of_a_declarative_file(planner, mini, edit, name, old, new, expected):
    edit(name, old, new)
    assert planner.jobs(mini) == expected


@pytest.mark.parametrize("what", SETTINGS)
def test_an_edit_of_the_configuration(planner, mini, edit, what):
    changes, expected = SETTINGS[what]
    edit("config.yaml", MINI, configured(MINI, changes))
    assert planner.jobs(mini) == expected


def test_another_version_of_torch(planner, mini, tmp_path):
    (tmp_path / "torch-99.dist-info").mkdir()
    about = "Metadata-Version: 2.1\nName: torch\nVersion: 99\n"
    (tmp_path / "torch-99.dist-info" / "METADATA").write_text(about, encoding="utf-8")
    assert planner.jobs(mini, path=[tmp_path]) == TRAIN


# Data sets with raw files, their parts, and pretrained weights: too large to download in a test,
# so empty files stand for them, marked as finished.
CUT, WEIGHTS = (
    "results/data/fashion-mnist.800.safetensors",
    "results/weights/resnet18/DEFAULT.safetensors",
)
DECODED = {"Decode fashion-mnist", "Take 800 training images of fashion-mnist"}
FETCHED_WEIGHTS = {"Fetch the weights DEFAULT of resnet18"}
SOURCES = [
    ("ap3/datasets/raw/download.py", "\n", "\n_EDITED = 1\n", NEW_DATA | DECODED | FETCHED_WEIGHTS),
    ("ap3/datasets/fashion_mnist.py", "\n", "\n_EDITED = 1\n", DECODED),
    ("ap3/models/published.py", "\n", "\n_EDITED = 1\n", FETCHED_WEIGHTS),
    (
        "ap3/datasets/sources.py",
        "a04f17134ac0",
        "a04f17134ac1",
        DECODED | {"Fetch train-labels-idx1-ubyte.gz of fashion-mnist"},
    ),
    ("config.yaml", "device: cpu", "device: cpu\ndata_dir: /nowhere", set()),
]


@pytest.fixture(scope="module")
def sources(planner, mini) -> Checkout:
    raw = mini.folder / "results/data/raw/fashion-mnist"
    decoded = mini.folder / "results/data/fashion-mnist.safetensors"
    files = [*(raw / file for file in FASHION), decoded, mini.folder / CUT, mini.folder / WEIGHTS]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    planner.ask(mini, "--touch", "--forceall", "--", CUT, WEIGHTS)
    yield mini
    for path in files:
        path.unlink()


@pytest.mark.parametrize(("name", "old", "new", "expected"), SOURCES, ids=lambda value: "")
def test_an_edit_of_what_brings_data_and_weights(planner, sources, edit, name, old, new, expected):
    if new.startswith("\n"):
        append(edit, sources, name, new)
    else:
        edit(name, old, new)
    assert planner.jobs(sources, CUT, WEIGHTS) == expected


def test_one_more_ratio_leaves_the_other_variants_as_they_were(mini, tmp_path):
    shutil.copytree(mini.folder, tmp_path / "more", symlinks=True)
    more = Checkout(tmp_path / "more")
    (more.folder / "config.yaml").write_text(
        configured(MINI, {"pruning.ratios": [0.5, 0.3, 0.8]}), encoding="utf-8"
    )
    trial = Path("results/mini/digits/small_vgg/trial1")
    done = more.run(str(trial / "measures.csv"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("pruned", "finetuned"):
        before, after = (made.folder / trial / f"{name}.safetensors" for made in (mini, more))
        assert after.stat().st_mtime > before.stat().st_mtime
        variants, others = Pruned(before), Pruned(after)
        assert len(variants) == 1 + 2 * 2
        assert len(others) == 1 + 2 * 3
        for variant, network in variants.items():
            for layer, found in network.layers.items():
                again = others[variant].layers[layer]
                for part in ("mask", "weight", "bias"):
                    np.testing.assert_array_equal(getattr(found, part), getattr(again, part))
    lines = (mini.folder / trial / "measures.csv").read_text(encoding="utf-8").splitlines()
    assert set(lines) < set(
        (more.folder / trial / "measures.csv").read_text(encoding="utf-8").splitlines()
    )
    weights = (mini.folder / trial / "baseline.safetensors").resolve()
    assert (more.folder / trial / "baseline.safetensors").resolve() == weights
