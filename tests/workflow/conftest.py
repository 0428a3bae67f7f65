"""One small study, finished once, for all tests that look at it, edit it or go on from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout, Planner


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache between workflows that the finished study filled."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Checkout:
    """A finished study in a checkout of its own. Whoever edits it puts it back."""
    checkout = Checkout.make(tmp_path_factory.mktemp("mini"))
    done = checkout.run("--cache", SNAKEMAKE_OUTPUT_CACHE=str(cache))
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.fixture(scope="session")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    planner = Planner(tmp_path_factory.mktemp("planner"))
    yield planner
    planner.close()
