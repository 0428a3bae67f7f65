"""Checks a value against a closed JSON schema and says each mistake in one sentence.

Importing it is cheap, so that whoever knows names may hint at the nearest one.
"""

import difflib
import math
import reprlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping of keys to values",
}

_MOST = 100_000

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60

_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "greater than",
    "exclusiveMaximum": "less than",
}


def mistakes(value: Any, schema: dict[str, Any], whole: str = "the configuration") -> list[str]:
    """List what is wrong with `value`, a sentence each; an empty list means that it is right.

    `whole` is what a sentence calls the value itself.

    Examples
    --------
    >>> schema = {"type": "object", "properties": {"epochs": {"type": "integer", "minimum": 1}},
    ...           "additionalProperties": False}
    >>> mistakes({"epochs": 0, "epohcs": 3}, schema)
    ["there is no key 'epohcs'; did you mean 'epochs'? Known keys: epochs.",
     'epochs is 0, but must be at least 1.']
    """
    if _is_endless(value):
        return [
            f"{whole} has more than {_MOST:,} entries, with all aliases written out; shorten it."
        ]
    errors = _validator()(schema).iter_errors(value)
    ordered = sorted(errors, key=lambda error: [str(step) for step in error.absolute_path])
    sentences = [sentence for error in ordered for sentence in _sentences(error, whole)]
    return list(dict.fromkeys(sentences))


def _is_endless(value: Any) -> bool:
    """Whether `value` has too many entries to look at; aliases of aliases make billions of a few."""
    pending = [value]
    for _ in range(_MOST):
        if not pending:
            return False
        part = pending.pop()
        if isinstance(part, dict):
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    return bool(pending)


@cache
def _validator() -> type["Validator"]:
    """Take no 2.0 for a whole number, nothing infinite for a number, and only texts as keys."""
    from jsonschema import Draft202012Validator, validators

    strict = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
            "object": lambda _, value: (
                isinstance(value, dict) and all(isinstance(key, str) for key in value)
            ),
        }
    )
    return validators.extend(Draft202012Validator, type_checker=strict)


def with_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """Return `value` with the `default` of every key of `schema` that is missing in it.

    Examples
    --------
    >>> with_defaults({}, {"properties": {"momentum": {"type": "number", "default": 0.9}}})
    {'momentum': 0.9}
    """
    root = root or schema
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if not isinstance(value, dict):
        return value
    named = schema.get("properties", {})
    missing = {key: part["default"] for key, part in named.items() if "default" in part}
    parts = dict.fromkeys(value, schema.get("additionalProperties") or {}) | named
    return {key: with_defaults(entry, parts[key], root) for key, entry in (missing | value).items()}


def in_one_spelling(value: Any) -> Any:
    """Return `value` with whole numbers as integers, so that 4 and 4.0 are written alike.

    Examples
    --------
    >>> in_one_spelling({"df": 4.0, "ratios": [0.1, 1.0], "compile": True})
    {'df': 4, 'ratios': [0.1, 1], 'compile': True}
    """
    if isinstance(value, dict):
        return {key: in_one_spelling(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [in_one_spelling(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def nearest(word: object, known: Iterable[str]) -> str:
    """End a sentence with which of `known` the misspelt `word` may mean, or with a full stop.

    >>> nearest("cifra10", ["cifar10", "digits"]), nearest("xyzzy", ["cifar10", "digits"])
    ("; did you mean 'cifar10'?", '.')
    """
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def _sentences(error: "ValidationError", whole: str) -> list[str]:
    where = _path(error) or whole
    found = _shown(error.instance)
    rule, limit = error.validator, error.validator_value
    if rule == "additionalProperties":
        return _unknown_keys(error)
    if rule == "required":
        missing = [key for key in limit if key not in error.instance]
        return [f"{where} lacks the key {key!r}; add it." for key in missing]
    if rule == "type" and isinstance(error.instance, dict) and "object" in limit:
        odd = next(key for key in error.instance if not isinstance(key, str))
        return [f"{where} has the key {odd!r}, which is no text; write it in quotes."]
    if rule == "type":
        hint = _number_hint(error.instance) if {"integer", "number"} & {*_listed(limit)} else ""
        title = (
            f": {error.schema['title']}" if limit == "string" and "title" in error.schema else ""
        )
        return [f"{where} is {found}, but must be {_types(limit)}{title}.{hint}"]
    if rule == "enum":
        allowed = ", ".join(map(str, limit))
        return [
            f"{where} is {found}, but must be one of {allowed}{nearest(error.instance, allowed.split(', '))}"
        ]
    if rule in _LIMITS:
        return [f"{where} is {found}, but must be {_LIMITS[rule]} {limit:g}."]
    if rule in ("minItems", "minProperties"):
        return [f"{where} is empty, but must hold at least {limit}."]
    if rule == "maxItems":
        return [f"{where} is {found}, but must hold at most {limit}."]
    if rule == "uniqueItems":
        items = list(error.instance)
        twice = next(item for place, item in enumerate(items) if item in items[:place])
        return [f"{where} lists {_shown(twice)} more than once; name it once."]
    expected = error.schema.get("title", f"what its schema says ({rule}: {limit})")
    return [f"{where} is {found}, but must be {expected}.{_number_hint(error.instance)}"]


def _unknown_keys(error: "ValidationError") -> list[str]:
    known = list(error.schema.get("properties", {}))
    where = f" in {_path(error)}" if error.absolute_path else ""
    return [
        f"there is no key {key!r}{where}{nearest(key, known)} Known keys: {', '.join(known)}."
        for key in error.instance
        if key not in known
    ]


def _path(error: "ValidationError") -> str:
    text = ""
    for step in error.absolute_path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    text = text.lstrip(".")
    return text if text.isprintable() else repr(text)


def _shown(value: Any) -> str:
    text = "null" if value is None else _SHORT.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _types(names: str | list[str]) -> str:
    return " or ".join(_WORDS[name] for name in _listed(names))


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _number_hint(value: Any) -> str:
    """YAML reads 5e-4 as text; say so."""
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number) or (isinstance(value, float) and not number.is_integer()):
        return ""
    return f" Write {int(number) if number.is_integer() else number!r}."
