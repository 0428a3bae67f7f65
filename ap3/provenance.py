"""What a result was made from, in digests, so that an edit re-makes what it touches and no more.

Code counts as the syntax trees, without comments and docstrings, of a module and of all that it
imports of its own package. What a registry imports by name is not in that closure: the digests of
a network and of a data set start at the one that a job uses. Tables of registries are left out, so
that one more line in them changes nothing.
"""

import ast
import hashlib
import json
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import grimp
import yaml
from grimp.exceptions import SourceSyntaxError

from ap3 import datasets
from ap3.errors import UserError
from ap3.models.names import FACTORIES

# Of these modules the functions and classes count, the tables do not.
REGISTRIES = frozenset({"ap3", "ap3.models.names", "ap3.datasets", "ap3.datasets.sources"})


def code_digest(*modules: str) -> str:
    """Digest `modules` and all that they import of their own packages: 16 hexadecimal digits.

    Raises
    ------
    UserError
        If one of them is no Python.
    """
    closure = sorted(set().union(*(_closure(module) for module in modules)))
    return _digest(*(f"{module}:{_tree(module)};" for module in closure))


def network_digest(model: str) -> str:
    """Digest what builds the network called `model`: its factory's code, or its library's version.

    Of networks of torchvision that is `library_versions`, and nothing is added here.
    """
    factory = FACTORIES.get(model, model)
    module, separator, _ = factory.partition(":")
    if module == "timm":
        return _version("timm")
    return _digest(factory, code_digest(module)) if separator else ""


def dataset_digest(name: str) -> str:
    """Digest what decodes a data set: its module, and what the registry says of it."""
    dataset = datasets.get(name)
    files = [(file.name, file.sha256) for file in dataset.files]
    return _digest(repr((dataset.train, dataset.test, files)), code_digest(dataset.module))


def content_digest(*paths: Path) -> str:
    """Digest what YAML files say, or style sheets, whatever their comments and layout."""
    return _digest(*(json.dumps(_content(path), sort_keys=True) for path in paths))


def library_versions() -> str:
    """Name the libraries that training runs on, which decide a trained network to the last bit."""
    return ", ".join(_version(name) for name in ("torch", "torchvision"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


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


@cache
def _closure(module: str) -> frozenset[str]:
    """Name `module`, what it imports that is not installed, and the packages around them."""
    closure: set[str] = set()
    found = {module}
    while found:
        closure |= found
        found = set().union(*(_imports(name) for name in found)) - closure
    packages = {name.rpartition(".")[0] for name in closure} - {""}
    return frozenset(closure | packages)


def _imports(module: str) -> set[str]:
    root = module.partition(".")[0]
    if _is_package(root):
        names = _graph(root).find_modules_directly_imported_by(module)
    else:
        names = set(_resolved(_parsed(module)))
    return {name for name in names if name.startswith(f"{root}.") or _is_own(name)}


@cache
def _graph(*packages: str) -> grimp.ImportGraph:
    """Build the graph of imports of `packages` and of all packages of the user's that they use."""
    try:
        graph = grimp.build_graph(
            *packages,
            include_external_packages=True,
            exclude_type_checking_imports=True,
            cache_dir=None,
        )
    except SourceSyntaxError as error:
        raise _no_python(error.filename, error.lineno) from error
    roots = {name for name in graph.modules if "." not in name} - set(packages)
    more = sorted(root for root in roots if _is_package(root) and _is_own(root))
    return _graph(*packages, *more) if more else graph


def _resolved(tree: ast.Module) -> Iterator[str]:
    """Name the modules that a file by itself imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            root = name.partition(".")[0]
            if name == root or (
                _is_package(root) and _is_own(root) and name in _graph(root).modules
            ):
                yield name


@cache
def _is_package(root: str) -> bool:
    spec = find_spec(root)
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _is_own(module: str) -> bool:
    """Tell a module that somebody works on from an installed one, which has a version."""
    spec = find_spec(module.partition(".")[0])
    if spec is None:
        return False
    places = [*(spec.submodule_search_locations or ()), spec.origin or "built-in"]
    libraries = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib")]
    return not (
        places[0] in ("built-in", "frozen")
        or "site-packages" in places[0]
        or "dist-packages" in places[0]
        or any(Path(places[0]).is_relative_to(library) for library in libraries)
    )


@cache
def _tree(module: str) -> str:
    """Dump a module's syntax tree without comments, docstrings and positions."""
    tree = _parsed(module)
    if module in REGISTRIES:
        tree.body = [node for node in tree.body if not isinstance(node, ast.Assign)]
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and (ast.get_docstring(node, clean=False) is not None):
            node.body = node.body[1:]
    return ast.dump(tree)


def _parsed(module: str) -> ast.Module:
    path = _source(module)
    if path is None:
        return ast.Module([], [])  # a folder without __init__.py
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise _no_python(path, error.lineno) from error


def _source(module: str) -> Path | None:
    """Find a module's file; unlike `find_spec` this runs no package around it."""
    root, *rest = module.split(".")
    spec = find_spec(root)
    if spec is None or not rest:
        return Path(spec.origin) if spec and spec.origin else None
    for place in spec.submodule_search_locations or ():
        path = Path(place, *rest)
        for source in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if source.is_file():
                return source
    return None


def _no_python(path: object, line: int | None) -> UserError:
    return UserError(f"{path}, line {line}, is no Python; correct the line.")
