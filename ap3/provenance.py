"""A digest of the code that a stage runs, so that an edit re-makes its results and no others.

The digest covers the modules that a stage imports, directly or not, as syntax trees without
comments and docstrings. What a registry imports by name must be named by the caller; the
registries themselves are left out, so that one more line in them changes nothing.
"""

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import grimp

REGISTRIES = frozenset({"ap3.models.names", "ap3.datasets", "ap3.datasets.sources"})


def code_digest(*modules: str) -> str:
    """Digest `modules` and all that they import of their own packages: 16 hexadecimal digits."""
    closure = sorted(set().union(*(_closure(module) for module in modules)))
    digest = hashlib.sha256()
    for module in closure:
        digest.update(f"{module}:{_tree(module)};".encode())
    return digest.hexdigest()[:16]


@cache
def _graph(package: str) -> grimp.ImportGraph:
    return grimp.build_graph(package, cache_dir=None)


@cache
def _closure(module: str) -> frozenset[str]:
    """Name `module`, what it imports, and the packages around them, without the registries."""
    package, dot, _ = module.partition(".")
    if not dot:
        return frozenset({module})  # a file by itself, which no graph of a package holds
    imported = {module} | _graph(package).find_upstream_modules(module)
    packages = {name.rpartition(".")[0] for name in imported} - {""}
    return frozenset(imported | packages) - REGISTRIES


@cache
def _tree(module: str) -> str:
    """Dump the syntax tree of a module's source without comments, docstrings and positions."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""  # a folder without __init__.py
    tree = ast.parse(Path(spec.origin).read_text())
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and (ast.get_docstring(node, clean=False) is not None):
            node.body = node.body[1:]
    return ast.dump(tree)
