"""The cache between workflows: what shares an entry, what does not, and what comes out of it."""

import shutil
import subprocess

import pytest
import yaml
from checkout import MINI, Checkout, configured

from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.measuring.covariance import load_covariance
from ap3.pruning.pruned import read_unpruned

pytestmark = pytest.mark.slow

TRIAL = "results/{study}/{dataset}/{model}/trial{trial}/baseline.safetensors"
COVARIANCE = "results/{study}/{dataset}/{model}/covariance.safetensors"


def baseline(study="mini", dataset="digits", model="small_vgg", trial=1) -> str:
    return TRIAL.format(study=study, dataset=dataset, model=model, trial=trial)


def covariance(study="mini", dataset="digits", model="small_vgg") -> str:
    return COVARIANCE.format(study=study, dataset=dataset, model=model)


RICH = {
    "data": {
        "ten_classes": {"dataset": "digits", "examples": 500},
        "hundred_classes": "fashion-mnist",
        "large_images": {"dataset": "cifar10", "examples": 600},
    },
    "networks": {
        "vgg": {"model": "small_vgg", "epochs": 2, "learning_rate": 0.05},
        "alexnet": {"model": "small_alexnet", "epochs": 2, "learning_rate": 0.05},
        "resnet": {"model": "resnet18", "epochs": 2, "learning_rate": 0.05, "weights": "DEFAULT"},
    },
}


def studies(**settings: dict) -> str:
    """Make a configuration of several studies, each with settings of its own."""
    content = yaml.safe_load(MINI)
    for name, changes in settings.items():
        study = yaml.safe_load(configured(MINI, changes))["studies"]["mini"]
        content["studies"][name] = study
    return yaml.safe_dump(content, sort_keys=False)


@pytest.fixture
def entries(planner, tmp_path):
    """Plans a configuration in an empty checkout; gives each output's entry in the cache."""
    checkout = Checkout.make(tmp_path / "checkout")

    def plan(config: str, *names: str) -> dict[str, str]:
        (checkout.folder / "config.yaml").write_text(config, encoding="utf-8")
        return planner.entries(checkout, *names)

    plan.folder = checkout.folder
    return plan


def test_jobs_that_differ_in_a_wildcard_share_no_entry(entries):
    found = entries(configured(MINI, RICH))
    kinds = {"raw": 5, "data": 3 + 2, "weights": 1, "trial": 9 * 2 * 2, "covariance": 9}
    assert len(found) == sum(kinds.values())
    assert len(set(found.values())) == len(found)


def test_studies_share_what_is_alike_and_nothing_else(entries):
    changes = {
        "same": {"finetuning.epochs": 5, "pruning.ratios": [0.1]},
        "seeded": {"seed": 3},
        "longer": {"networks.vgg.epochs": 3},
        "larger": {"image_size": 20},
        "rotated": {"latent.rotation": "fast"},
        "swapped": {"seed": 1, "threads": 2},
    }
    found = entries(studies(**changes), "mini", *changes)
    for name in changes:
        trained = name in ("same", "rotated")
        assert (found[baseline(name)] == found[baseline()]) == trained, name
        assert (found[covariance(name)] == found[covariance()]) == (name == "same"), name
    for make, distinct in ((baseline, 5), (covariance, 6)):
        assert len({found[make(name)] for name in ("mini", *changes)}) == distinct


def test_files_in_other_roles_share_no_entry(entries):
    """Two data sets, one trained on and the weights of the other's file, then the reverse."""
    first, second = "results/data/digits.safetensors", "results/data/fashion-mnist.safetensors"
    network = {"model": "small_vgg", "epochs": 2, "learning_rate": 0.05}
    places = {"ten_classes": second, "hundred_classes": first}
    networks = {
        f"from_{place}": network | {"data": [place], "weights": weights}
        for place, weights in places.items()
    }
    data = {"ten_classes": "digits", "hundred_classes": "fashion-mnist"}
    found = entries(
        configured(MINI, {"networks": {"others": networks}, "data": data, "figures": ["fig01"]})
    )
    assert found[baseline()] != found[baseline(dataset="fashion-mnist")]


def test_an_edited_helper_shares_no_entry(entries):
    before = entries(MINI)
    helper = entries.folder / "ap3/training/sgd.py"
    helper.write_text(helper.read_text(encoding="utf-8") + "\n# A comment.\n", encoding="utf-8")
    assert entries(MINI) == before
    helper.write_text(helper.read_text(encoding="utf-8") + "\n_EDITED = True\n", encoding="utf-8")
    after = entries(MINI)
    assert after.keys() == before.keys()
    same = {output for output in before if after[output] == before[output]}
    assert same == {"results/data/digits.safetensors"}


@pytest.fixture(scope="module")
def second(mini, cache, tmp_path_factory) -> Checkout:
    """A second checkout that takes from the cache what it can, where `ap3` itself would fail."""
    folder = tmp_path_factory.mktemp("second")
    checkout = Checkout.make(folder / "checkout")
    entries = shutil.copytree(cache, folder / "cache")
    (folder / "scripts").mkdir()
    (folder / "scripts/ap3").write_text("#!/bin/sh\necho ap3 ran; exit 1\n", encoding="utf-8")
    (folder / "scripts/ap3").chmod(0o755)
    command = checkout.command("--cache", "--", covariance(), baseline(trial=2))
    command["env"] |= {
        "SNAKEMAKE_OUTPUT_CACHE": str(entries),
        "PATH": f"{folder / 'scripts'}:{command['env']['PATH']}",
    }
    # The targets are rules to `--cache` unless told apart.
    done = subprocess.run(**command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def test_a_second_checkout_trains_nothing(mini, second, planner):
    for trial in (1, 2):
        for path in (baseline(trial=trial), baseline(trial=trial).replace(".safetensors", ".csv")):
            assert (second.folder / path).is_symlink()
            assert (second.folder / path).read_bytes() == (mini.folder / path).read_bytes()
    assert (second.folder / covariance()).read_bytes() == (mini.folder / covariance()).read_bytes()
    verbs = ("Train", "Decode", "Covariance")
    assert not [job for job in planner.jobs(second) if job.startswith(verbs)]


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("results/data/digits.safetensors", Images.load),
        (baseline(), read_unpruned),
        (covariance(), load_covariance),
    ],
)
@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "empty"])
def test_a_damaged_entry_is_refused_by_the_name_it_has_in_the_cache(second, path, read, damage):
    link = second.folder / path
    entry = link.resolve()
    content = entry.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damaged = {"a flipped bit": flipped, "cut short": content[:middle], "empty": b""}[damage]
    entry.write_bytes(damaged)
    try:
        with pytest.raises(UserError) as refused:
            read(link)
    finally:
        entry.write_bytes(content)
    assert str(entry) in str(refused.value)
    assert "delete it and make it again" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_deleted_entry_is_made_again(second, planner):
    entry = (second.folder / baseline()).resolve()
    kept = entry.rename(entry.with_suffix(".kept"))
    try:
        assert "Train small_vgg on digits, trial 1" in planner.jobs(second, baseline())
    finally:
        kept.rename(entry)


def test_a_deleted_entry_is_made_again_for_what_comes_after_it(second, planner):
    features = baseline().replace("baseline", "features")
    link, others = second.folder / baseline(), second.folder / "results/data/mine.safetensors"
    entry = link.resolve()
    kept = entry.rename(entry.with_suffix(".kept"))
    others.symlink_to("/nowhere/mine.safetensors")
    try:
        printed = planner.ask(
            second, "--cache", "--dry-run", "--", features, SNAKEMAKE_OUTPUT_CACHE=str(entry.parent)
        )
        assert "Train small_vgg on digits, trial 1" in printed
        assert not link.is_symlink()
        assert others.is_symlink()
    finally:
        kept.rename(entry)
        link.unlink(missing_ok=True)
        link.symlink_to(entry)
        others.unlink()


def test_two_workflows_that_fill_a_cache_at_once_both_finish_right(tmp_path):
    config = configured(
        MINI,
        {
            "trials": 1,
            "data": {"ten_classes": {"dataset": "digits", "examples": 100}},
            "figures": ["fig01"],
        },
    )
    (tmp_path / "cache").mkdir()
    checkouts = [Checkout.make(tmp_path / name, config) for name in ("one", "two")]
    running = []
    for checkout in checkouts:
        command = checkout.command("--cache", "--", baseline())
        command["env"] |= {"SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache")}
        running.append(
            subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    printed = [process.communicate(timeout=1200)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], printed
    paths = [checkout.folder / baseline() for checkout in checkouts]
    assert paths[0].resolve() == paths[1].resolve()
    assert paths[0].resolve().parent == tmp_path / "cache"
    assert [read_unpruned(path).origin.trial for path in paths] == [1, 1]
    # Data, their part, the network and its history; nothing half-made is left.
    assert len(list((tmp_path / "cache").iterdir())) == 4
