"""Digest what a module does: its code, and that of all it imports, wherever the files lie.

What counts is the syntax trees of a module and of everything that it imports of its own package or
of somebody's who works on it. An import counts as the name that it binds and the digest of what it
binds, so that a module may move and a package be renamed, and nothing changes; to import the same
name from another module changes the digest.

What cannot change a result does not count: comments, docstrings, layout, the version of Python, the
help of options, type-checking imports, the texts in errors, in `print` and in whatever `SILENT`
modules are given, and those modules themselves. Of the `TABLES` modules only functions and classes
count: a network's and a data set's digest start at the one that a job uses, so that one more line
in a registry changes nothing.

Nothing but the standard library is imported here.
"""

import ast
import hashlib
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from ap3.errors import InvalidFileError

SILENT = frozenset(
    {
        "ap3.study.code_digest",
        "ap3.datasets.raw.progress",
        "ap3.machine.interruption",
        "ap3.comparing.printing",
        "ap3.machine.progress",
        "ap3.machine.terminal",
        "ap3.study.provenance",
        "ap3.machine.job_log",
    }
)
"""Modules of bars, logs, messages and digests, which change no result."""

TABLES = frozenset({"ap3", "ap3.models.names", "ap3.datasets", "ap3.datasets.sources"})
"""Of these modules the functions and classes count, the tables do not."""

_NOTHING = "Module()"
"""How a file without code is spelled."""

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement holds others."""


def code_digest(*modules: str) -> str:
    """Digest `modules` and all that they import of their own packages: 16 hexadecimal digits.

    Raises
    ------
    UserError
        If one of them is no Python.
    """
    codes = {name: _code(name) for name in closure(*modules)}
    labels = {name: digest(code.text) for name, code in codes.items()}
    while True:
        finer = {name: _label(labels[name], code, labels) for name, code in codes.items()}
        distinct = len(set(labels.values()))
        labels = finer
        # Every round tells modules apart by one step more of their imports, until nothing is new.
        if len(set(labels.values())) == distinct:
            break
    counted = sorted(Counter(labels.values()).elements())
    return digest(*(labels[name] for name in modules), "of", *counted)


def closure(*modules: str) -> frozenset[str]:
    """Name `modules`, what they import that is not installed, and the packages around them."""
    found: set[str] = set()
    new = set(modules)
    while new:
        found |= new
        new = {target for name in new for *_, target in _code(name).followed} - found
    return frozenset(found)


def digest(*parts: str) -> str:
    """Digest some texts: 16 hexadecimal digits."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Code:
    """What a module says, and the imports that are followed: name bound, name there, module."""

    text: str
    followed: tuple[tuple[str, str, str], ...]


def _label(own: str, code: _Code, labels: dict[str, str]) -> str:
    followed = sorted(f"{bound}={name}@{labels[module]}" for bound, name, module in code.followed)
    return digest(own, *followed)


@cache
def _code(module: str) -> _Code:
    tree = _parsed(module)
    imports = [*_imports(tree, module)]
    silent = [one for one in imports if one[2] in SILENT]
    followed = {one for one in imports if one not in silent and _counts(one[2], module)}
    others = {
        (bound, name, "silent" if (bound, name, target) in silent else target)
        for bound, name, target in imports
        if (bound, name, target) not in followed
    }
    wordless = frozenset({"print"} | {bound for bound, *_ in silent})
    # The packages around a module run before it. What they import for others is not followed.
    packages = [_package_text(around) for around in _around(module)]
    parts = [_spell(tree, wordless), *map(str, sorted(others)), *sorted({*packages} - {_NOTHING})]
    return _Code(";".join(parts), tuple(sorted(followed)))


@cache  # the same few lie around all modules
def _package_text(package: str) -> str:
    return _spell(_parsed(package), frozenset({"print"}))


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[str, str, str]]:
    """Give what each import binds: the name, the name in the module it comes from, that module."""
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, "", alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module)
            for alias in node.names:
                bound, inner = alias.asname or alias.name, f"{origin}.{alias.name}"
                is_module = _is_followable(inner, module) and _source(inner) is not None
                yield (bound, "", inner) if is_module else (bound, alias.name, origin)


def _statements(block: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Give the statements of a block and of all blocks in it; an import is nowhere else."""
    for statement in block:
        yield statement
        for name in _BLOCKS:
            yield from _statements(getattr(statement, name, ()))


def _origin(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    source = _source(module)
    inside = source is not None and source.name == "__init__.py"
    package = module if inside else module.rpartition(".")[0]
    try:
        return resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:  # above the topmost package: it fails when it is run
        return node.module or ""


def _counts(target: str, importer: str) -> bool:
    """Whether the code of an imported module counts: if it is a file that somebody works on."""
    return _is_followable(target, importer) and (
        _source(target) is not None or _is_package(target.partition(".")[0])
    )


def _is_followable(target: str, importer: str) -> bool:
    root = target.partition(".")[0]
    return root == importer.partition(".")[0] or _is_own(root)


def _around(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


@cache
def _is_package(root: str) -> bool:
    spec = find_spec(root)
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _is_own(root: str) -> bool:
    """Tell a module that somebody works on from an installed one, which has a version."""
    try:
        spec = find_spec(root)
    except ValueError:  # such as __main__
        return False
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


def _spell(node: object, wordless: frozenset[str], words: bool = True) -> str:
    """Spell a syntax tree alike under every version of Python.

    `ast.dump` and `ast.unparse` do not. A field that is empty is left out, since later versions
    have more of them. Calls of `wordless` names and of errors keep all but their texts.
    """
    if isinstance(node, list):
        parts = [_spell(part, wordless, words) for part in node if not _is_mute(part)]
        return f"[{','.join(parts)}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    if not words and _is_text(node):
        return "text"
    if isinstance(node, ast.Call):
        words = words and not _says_only(node, wordless)
    fields = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(value, list):
            value = _without_docstring(value)
        if isinstance(node, ast.JoinedStr):
            value = [part for part in node.values if not _is_empty_text(part)]
        if value is not None and value != [] and name not in ("kind", "type_comment"):
            fields.append(f"{name}={_spell(value, wordless, words)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_mute(node: object) -> bool:
    """Whether a part of a tree is left out: imports, which count by themselves, and help."""
    return isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.keyword) and node.arg == "help"
    )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_empty_text(node: ast.AST) -> bool:
    """Whether a part of an f-string says nothing, such as Python 3.12 adds to a format in a format."""
    return isinstance(node, ast.Constant) and node.value == ""


def _says_only(call: ast.Call, wordless: frozenset[str]) -> bool:
    """Whether a call's texts are messages: of an error, of `print`, of a bar or of the log."""
    name = str(getattr(call.func, "id", "") or getattr(call.func, "attr", ""))
    return name in wordless or name.endswith("Error")


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_docstring = isinstance(first, ast.Expr) and _is_text(first.value)
    return body[1:] if is_docstring else body


def _parsed(module: str) -> ast.Module:
    path = _source(module)
    if path is None:
        return ast.Module([], [])  # a folder without __init__.py
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InvalidFileError(f"{path}, line {line}, is no Python; correct the line.") from error
    tree.body = [node for node in tree.body if not _is_for_types(node)]
    if module in TABLES:
        tree.body = [node for node in tree.body if not isinstance(node, ast.Assign)]
    return tree


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


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
