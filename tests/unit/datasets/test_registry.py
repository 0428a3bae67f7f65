import subprocess
import sys

import pytest

from ap3 import datasets
from ap3.errors import UserError


def test_the_data_sets_of_the_paper_and_two_small_ones_are_there():
    assert datasets.names() == ("digits", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet")


def test_a_name_misspelt_gets_the_nearest_and_all():
    with pytest.raises(UserError, match=r"'cifra10'; known are dig.*did you mean 'cifar10'\?"):
        datasets.get("cifra10")


def test_a_name_like_no_other_gets_all():
    with pytest.raises(UserError, match=r"'xyzzy'; known are digits, fashion-mnist, cifar10"):
        datasets.get("xyzzy")


def test_the_registry_is_read_without_heavy_imports():
    code = (
        "import sys; from ap3 import datasets; [datasets.get(n).files for n in datasets.names()];"
        "heavy = {'numpy', 'sklearn', 'torch', 'PIL', 'requests', 'rich'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", datasets.names())
def test_every_source_is_complete(name):
    dataset = datasets.get(name)
    for file in dataset.files:
        assert file.dataset == name
        assert file.url.endswith(f"/{file.name}")
        assert file.size > 5_000
        assert all(len(bytes.fromhex(digest)) == 32 for digest in file.sha256)
        assert dataset.file(file.name) is file


def test_a_file_that_a_data_set_lacks_is_named_with_those_it_has():
    with pytest.raises(UserError, match=r"cifar10 has no raw file 'x.zip'.* cifar-10-python"):
        datasets.get("cifar10").file("x.zip")


def test_digits_say_that_they_need_no_file():
    with pytest.raises(UserError, match="none: a package ships its data"):
        datasets.get("digits").file("x")


def test_a_data_set_with_files_asks_for_their_folder():
    with pytest.raises(UserError, match=r"tiny-imagenet needs the folder .* tiny-imagenet-200.zip"):
        datasets.get("tiny-imagenet").decode()
