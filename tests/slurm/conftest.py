"""The cluster is started for the tests that need it, and only where `make test-slurm` asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, absent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("markexpr") == "slurm"
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slurm)
            if not asked:
                item.add_marker(pytest.mark.skip(advice() or "make test-slurm runs these tests"))


def advice() -> str:
    """Say what to install; nothing if all is there."""
    missing = absent()
    if not missing:
        return ""
    return f"{', '.join(missing)} not found: apt-get install slurm-wlm munge, then make test-slurm"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if advice():
        pytest.exit(advice(), returncode=1)
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started
