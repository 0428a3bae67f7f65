"""What a result was made from, in digests, so that an edit re-makes what it touches and no more.

`ap3.study.code_digest` says how code counts. What a registry imports by name is not among what a stage
imports: the digests of a network and of a data set start at the one that a job uses.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from ap3 import datasets
from ap3.config import user_code
from ap3.figures import descriptions
from ap3.files.storage import digest_of
from ap3.models.names import FACTORIES
from ap3.study.code_digest import code_digest, digest


def network_digest(model: str) -> str:
    """Digest what builds the network called `model`: its factory's code, or its library's version.

    Of networks of torchvision that is `library_versions`, and nothing is added here.
    """
    factory = FACTORIES.get(model, model)
    module, separator, _ = factory.partition(":")
    if module == "timm":
        return _version("timm")
    return digest(factory, code_digest(module)) if separator else ""


def dataset_digest(name: str) -> str:
    """Digest what decodes a data set: its module, and what the registry says of it.

    Of a folder of images count the names of the files, their sizes and when each was changed.
    """
    dataset = datasets.get(name)
    files = [(file.name, file.sha256) for file in dataset.files]
    about = repr((dataset.train, dataset.test, files))
    if user_code.is_folder(name):
        about += repr(_files_in(user_code.folder_of(name)))
    return digest(about, code_digest(dataset.module))


def _files_in(folder: Path) -> list[tuple[str, int, int]]:
    found = ((file, file.stat()) for file in sorted(_walked(folder)) if file.is_file())
    return [
        (file.relative_to(folder).as_posix(), about.st_size, about.st_mtime_ns)
        for file, about in found
    ]


def _walked(folder: Path) -> Iterator[Path]:
    """Go through all files, in linked folders too, as decoding does; each folder once."""
    seen = set[str]()
    for place, inside, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            inside.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


@cache  # of hundreds of megabytes, and asked for by every trial
def weights_digest(path: str) -> str:
    """Digest a user's file of weights: what it holds, since an older one may take its place.

    Parameters
    ----------
    path
        Of the file; of one that is not there it is empty.
    """
    return digest_of(Path(path)) if Path(path).is_file() else ""


def content_digest(*paths: Path) -> str:
    """Digest what YAML files say, or style sheets, whatever their comments and layout."""
    return digest(*(json.dumps(_content(path), sort_keys=True) for path in paths))


def figure_digest(*names: str) -> str:
    """Digest declarative files of the figures: descriptions, their schema, the style sheet."""
    return content_digest(*(Path(descriptions.__file__).with_name(name) for name in names))


def page_digest() -> str:
    """Digest what the page of a report is filled into, and what is said on it."""
    package = Path(datasets.__file__).parents[1]
    captions = (package / "study/captions").glob("*.rst")
    return content_digest(*sorted([*(package / "report").glob("page.*"), *captions]))


def library_versions() -> str:
    """Name the libraries that training runs on, which decide a trained network to the last bit."""
    return ", ".join(_version(name) for name in ("torch", "torchvision"))


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def _content(path: Path) -> object:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        return yaml.safe_load(text)
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
