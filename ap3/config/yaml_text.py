"""What YAML 1.1 makes of a configuration without a word: the last of two equal keys, 010 as 8."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DECIMAL = re.compile(
    r"[-+]?(0|[1-9][0-9]*|[0-9]*\.[0-9]*([eE][-+][0-9]+)?|\.(inf|Inf|INF|nan|NaN|NAN))"
)


def surprises(path: Path) -> list[str]:
    r"""List what a YAML file does not mean as a reader would take it, a sentence each.

    Parameters
    ----------
    path
        The file, which may be JSON as well. What is no YAML at all has no surprises.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "config.yaml"
    ...     _ = file.write_text("trials: 1:30\nseed: 1\nseed: 2\n", encoding="utf-8")
    ...     for sentence in surprises(file):
    ...         print(sentence.removeprefix(folder))
    /config.yaml, line 1: YAML reads 1:30 as the number 90; write a decimal number.
    /config.yaml, line 3: the key seed was there before, in line 2; keep one of them.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return []
    return [f"{path}, line {line}: {what}" for line, what in sorted(_found(root))]


def mistake(path: Path) -> str:
    r"""Say where a file is no YAML, in one sentence; nothing where it is.

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "config.yaml"
    ...     _ = file.write_text("study: demo\n seed: 1\n", encoding="utf-8")
    ...     mistake(file).removeprefix(folder).partition(";")[0]
    '/config.yaml, line 2: this is no YAML (mapping values are not allowed here)'
    """
    try:
        yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        return f"{path} is no text in UTF-8; save it as such."
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        return (
            f"{path}{where}: this is no YAML ({error.problem or error.context}); look at its "
            "indentation, colons and brackets, and those of the line before."
        )
    except yaml.YAMLError as error:
        return f"{path} is no YAML ({' '.join(str(error).split())})."
    return ""


def _found(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    pending, seen = [root], set()
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield from _odd_number(node)
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            yield from _double_keys(node)
            pending += [part for entry in node.value for part in entry]


def _double_keys(mapping: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if key.value in lines:
            yield (
                line,
                (
                    f"the key {key.value} was there before, in line {lines[key.value]}; keep one of them."
                ),
            )
        lines.setdefault(key.value, line)


def _odd_number(scalar: yaml.ScalarNode) -> Iterator[tuple[int, str]]:
    """Find a number in another base than ten: octal, hexadecimal, binary, or of minutes and hours."""
    if scalar.tag in _NUMBERS and not _DECIMAL.fullmatch(scalar.value):
        number = yaml.safe_load(scalar.value)
        yield (
            scalar.start_mark.line + 1,
            (f"YAML reads {scalar.value} as the number {number}; write a decimal number."),
        )
