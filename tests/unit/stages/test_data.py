import subprocess
import sys

import numpy as np
import pytest
from local_server import serve
from raw_files import cifar10_members, fashion, put, tar_gz, tiny_members, zipped
from safetensors import SafetensorError

from ap3 import datasets
from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.files import storage
from ap3.stages.data import data
from ap3.stages.fetch import fetch

SMALL = {
    "fashion-mnist": (fashion(), (20, 10)),
    "cifar10": ({"cifar-10-python.tar.gz": tar_gz(cifar10_members())}, (15, 3)),
    "tiny-imagenet": ({"tiny-imagenet-200.zip": zipped(tiny_members())}, (6, 3)),
}


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Make a small data set the published one, as in the folder `disk` or at `url`."""

    def publish(name, url="http://127.0.0.1:9"):
        dataset = put(tmp_path / "disk", name, *SMALL[name], url)
        monkeypatch.setattr(datasets, "_REGISTRY", (dataset,))
        return dataset

    return publish


@pytest.mark.parametrize("name", SMALL)
def test_from_the_server_to_the_decoded_file(name, published, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    contents, counts = SMALL[name]
    with serve() as server:
        server.files = contents
        for file in published(name, server.url).files:
            fetch(name, file.name, tmp_path / "raw" / file.name)
    data(name, tmp_path / "data.safetensors", tmp_path / "raw")
    images = Images.load(tmp_path / "data.safetensors")
    assert (len(images.train_labels), len(images.test_labels)) == counts


def test_from_data_dir_the_same_comes_out(published, tmp_path):
    dataset = published("cifar10")
    for file in dataset.files:
        fetch("cifar10", file.name, tmp_path / "raw" / file.name, tmp_path / "disk")
    data("cifar10", tmp_path / "a.safetensors", tmp_path / "raw")
    data("cifar10", tmp_path / "b.safetensors", tmp_path / "disk")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_digits_need_no_folder(tmp_path):
    data("digits", tmp_path / "digits.safetensors")
    arrays, metadata = storage.load(tmp_path / "digits.safetensors")
    assert arrays["train_images"].shape == (1437, 1, 8, 8)
    assert metadata == {"dataset": "digits", "classes": [str(digit) for digit in range(10)]}
    assert arrays["train_labels"].dtype == np.int64


def test_what_is_refused_leaves_no_output(published, tmp_path):
    published("cifar10")
    (tmp_path / "disk" / "cifar-10-python.tar.gz").write_bytes(b"half")
    with pytest.raises(UserError, match=r"cifar-10-python.tar.gz is refused"):
        data("cifar10", tmp_path / "out" / "cifar10.safetensors", tmp_path / "disk")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_gets_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(arrays, path, **_):
        path.write_bytes(b"half")
        # What safetensors raises there.
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(storage, "save_file", full)
    with pytest.raises(UserError, match=r"digits.safetensors could not be written .*No space left"):
        data("digits", tmp_path / "out" / "digits.safetensors")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_stages_are_imported_without_heavy_packages():
    code = (
        "import sys; import ap3.stages.fetch, ap3.stages.data; "
        "heavy = {'numpy', 'sklearn', 'torch', 'PIL', 'requests'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
