"""Configurations that are right but for one to three places, each changed in a way that people do."""

import copy
import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from configs import MODELS, SCHEMA, likely
from hypothesis import strategies as st

from ap3 import datasets
from ap3.config.variants import MODES


@dataclass(frozen=True)
class Place:
    """An entry of a configuration: the mapping or list that holds it, and what schemas say of both."""

    part: Any
    key: Any
    schema: dict[str, Any]
    around: dict[str, Any]

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.part[self.key]


def places(part: Any, schema: dict[str, Any]) -> Iterator[Place]:
    """Go through all entries of a configuration that is right."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
        inner = schema["items"] if isinstance(part, list) else inner
        if "$ref" in inner:
            inner = SCHEMA["$defs"][inner["$ref"].rpartition("/")[2]]
        yield Place(part, key, inner, schema)
        if isinstance(value, dict | list):
            yield from places(value, inner)


# What may be put in the place of a value, by the kind of mistake; nothing where it makes no sense.

_FAR = {True: [2**31, 2**63, 10**30], False: [sys.float_info.max, 5e-324, -0.0]}


def _limits(place: Place) -> list[Any]:
    """Numbers at a limit, and the next ones on both sides of it."""
    if type(place.value) not in (int, float):
        return []
    is_whole = "integer" in place.schema.get("type", ())
    found: list[Any] = [*_FAR[is_whole]]
    for rule in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        limit = place.schema.get(rule)
        if limit is not None:
            steps = [limit - 1, limit + 1]
            found += [limit, *(steps if is_whole else _neighbours(limit))]
    return found


def _neighbours(number: float) -> list[float]:
    return [math.nextafter(number, -math.inf), math.nextafter(number, math.inf)]


def _look_alikes(place: Place) -> list[Any]:
    """Values of another type that are written nearly as this one, or could be meant for it."""
    return [*_also_taken(place), *_written_alike(place.value)]


def _also_taken(place: Place) -> list[Any]:
    """Values of other types that this key takes too."""
    types = place.schema.get("type", "")
    taken: list[Any] = [None] if "null" in types else []
    if "number" in types:
        taken += [1, 3.0, 0.5]
    if "number" in types and "string" in types:
        taken += ["auto"]
    if "string" in types and "object" in types and isinstance(place.value, str):
        taken += [{"dataset": place.value}]
    return taken * 5


def _written_alike(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [int(value), float(value), str(value), str(value).lower(), "yes", None]
    if isinstance(value, int):
        return [str(value), float(value), value == 1, [value], f"{value}.0", f"1e{value % 9}", None]
    if isinstance(value, float):
        return [repr(value), f"{value:g}", math.floor(value), [value], value > 0, None]
    if isinstance(value, str):
        return [[value], {value: None}, f"{value} ", f"{value}\n", value.upper(), value == "", None]
    if isinstance(value, list):
        return [*value[:1], ", ".join(map(str, value)), {"0": value}, [value], None]
    return ["null", "", 0, False] if value is None else [[value], [*value], str([*value]), None]


def _enums(schema: Any) -> Iterator[str]:
    """Go through all names that the schema knows."""
    if isinstance(schema, dict):
        yield from (name for name in schema.get("enum", ()) if isinstance(name, str))
        for part in schema.values():
            yield from _enums(part)


_NAMES = sorted({*_enums(SCHEMA), *datasets.names(), *MODELS, *MODES, "auto", "none"})
_OTHER_FORMS = ["os:kill", "timm:resnet50", "a:b:c", "a.b:", "IMAGENET1K_V1", "x.pth", "../x.pt"]


def _names(place: Place) -> list[Any]:
    """Names that belong elsewhere, and misspellings of this one."""
    if not isinstance(place.value, str):
        return []
    others = place.schema.get("enum", [])
    return [*_misspelt(place.value), *others * 12, *_NAMES, *_OTHER_FORMS]


def _misspelt(word: str) -> list[str]:
    """Two letters exchanged, one lost, one doubled, a capital, and other ways to join words."""
    swapped = [word[:i] + b + a + word[i + 2 :] for i, (a, b) in enumerate(pairwise(word))]
    lost = [word[:i] + word[i + 1 :] for i in range(len(word))]
    joined = [word.replace("_", "-"), word.replace("_", ""), word.replace("-", "_"), f"{word}s"]
    return [
        *swapped[:3],
        *lost[-2:],
        *joined,
        word + word[-1:],
        word.title(),
        f" {word}",
        f"{word}:",
    ]


_VALUES: dict[str, Callable[[Place], list[Any]]] = {
    "a number at a limit": _limits,
    "a type that looks alike": _look_alikes,
    "a name from elsewhere": _names,
}


# What may be done to the mapping or list that holds a value.


def _rename(place: Place, chance: random.Random) -> None:
    """Misspell a key, or bring a name that may be chosen to the limit of what may be chosen."""
    chosen = ["all", "fig01", "bounds_x", "default", "Vgg", "2nd", "a" * 64, "a" * 65, "a-b", "vit"]
    is_free = "properties" not in place.around
    names = [*_misspelt(place.key), *(chosen if is_free else [])]
    new = chance.choice(names)
    place.part[new] = place.part.pop(place.key)


def _drop(place: Place, chance: random.Random) -> None:
    del place.part[place.key]


def _double(place: Place, chance: random.Random) -> None:
    """Put an entry of a list, or of a mapping under another key, a second time."""
    again = copy.deepcopy(place.value)
    if isinstance(place.part, list):
        place.part.append(chance.choice([again, *_look_alikes(place)]))
    else:
        known = [*place.around.get("properties", ())]
        place.part[chance.choice([f"{place.key}_2", *known])] = again


def _exchange(place: Place, chance: random.Random) -> None:
    """Exchange two entries of a mapping or list."""
    others = range(len(place.part)) if isinstance(place.part, list) else [*place.part]
    other = chance.choice(others)
    place.part[place.key], place.part[other] = place.part[other], place.value


_STRUCTURE: dict[str, Callable[[Place, random.Random], None]] = {
    "a misspelt key": _rename,
    "a missing entry": _drop,
    "a doubled entry": _double,
    "two entries exchanged": _exchange,
}

KINDS = (*_VALUES, *_STRUCTURE)
"""The kinds of mistakes."""


@st.composite
def nearly(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """Change one to three places of a configuration that is right; the outcome may be right too."""
    config: dict[str, Any] = copy.deepcopy(draw(likely))
    # Hypothesis prefers what comes first in a list, which would be the same few keys.
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        _change(config, chance.choice(kinds), chance)
    return config


def _change(config: dict[str, Any], kind: str, chance: random.Random) -> None:
    found = [place for place in _remaining(config) if _applies(kind, place)]
    if chance.random() < 0.5:  # a place with a choice: what is put elsewhere is nearly all refused
        found = [place for place in found if _has_choice(place)] or found
    if not found:
        return
    # First a key, then one of the places that have it: else the keys of networks were nearly all.
    key = chance.choice(sorted({str(place.key) for place in found}))
    place = chance.choice([place for place in found if str(place.key) == key])
    if kind in _VALUES:
        place.part[place.key] = chance.choice(_VALUES[kind](place))
    else:
        _STRUCTURE[kind](place, chance)


def _remaining(config: dict[str, Any]) -> list[Place]:
    """List the places that a mistake before this one has left as the schema knows them."""
    try:
        return [*places(config, SCHEMA)]
    except (AttributeError, KeyError, TypeError):
        return []


def _has_choice(place: Place) -> bool:
    return "enum" in place.schema or bool(_also_taken(place))


def _applies(kind: str, place: Place) -> bool:
    if kind in _VALUES:
        return bool(_VALUES[kind](place))
    return kind != "a misspelt key" or isinstance(place.part, dict)
