"""Sentences of a page with places for numbers, and the page with these numbers set."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

PLACE = "{}"
_NUMBER = r"([+−]?\w+(?:[.,]\w+)*)"
_LEFT_OUT = (
    r"<!-- ([\w-]+) -->.*?<!-- end of \1 -->",  # set by other commands
    r"^```.*?^```",
    r"`[^`]*`",
    r"\]\([^)]*\)",  # where a link leads
    r"^\|.*?$",
    r"^ *\d+\. ",  # numbers of a list
)


@dataclass(frozen=True)
class Said:
    """Part of a sentence, `{}` in each place of a number, and the numbers as they are written."""

    text: str
    numbers: Sequence[str]

    def __post_init__(self) -> None:
        if self.text.count(PLACE) != len(self.numbers):
            raise ValueError(f"{self.text!r} has no place for each of {self.numbers}.")

    def find(self, page: str) -> re.Match[str]:
        """Find the one place of a page that says this, whatever the numbers there.

        Raises
        ------
        ValueError
            If it is nowhere or in several places.
        """
        parts = [
            r"\s+".join(map(re.escape, re.split(r"\s+", one))) for one in self.text.split(PLACE)
        ]
        found = [*re.finditer(_NUMBER.join(parts), page)]
        if len(found) != 1:
            raise ValueError(
                f"the page says {self.text!r} {len(found)} times, but must say it once."
            )
        return found[0]


def said(text: str, *numbers: str) -> Said:
    """Say `text`, a number in each place."""
    return Said(text, numbers)


def places(page: str, sentences: Iterable[Said]) -> Iterator[tuple[int, int, str]]:
    """Give start and end of every number that a page says in these sentences, and what it must be."""
    for sentence in sentences:
        match = sentence.find(page)
        for index, number in enumerate(sentence.numbers, 1):
            yield *match.span(index), number


def corrected(page: str, sentences: Iterable[Said]) -> str:
    """Return the page with every number of the sentences as it must be."""
    for start, end, number in sorted(places(page, sentences), reverse=True):
        page = page[:start] + number + page[end:]
    return page


def untold(
    page: str, sentences: Iterable[Said], given: Sequence[str], sections: Sequence[str]
) -> list[str]:
    """List the numbers of some sections that are in no sentence, each with the words around it.

    Parameters
    ----------
    page
        Text of the page.
    sentences
        What is told of it.
    given
        Patterns of what is no result: names, settings, definitions; a blank may be a new line.
    sections
        Headings.
    """
    known = [(start, end) for start, end, _ in places(page, sentences)]
    for pattern in (*_LEFT_OUT, *(one.replace(" ", r"\s+") for one in given)):
        known += [one.span() for one in re.finditer(pattern, page, re.MULTILINE | re.DOTALL)]
    hidden = list(page)
    for start, end in known:
        hidden[start:end] = "·" * (end - start)
    inside = [*_inside(page, sections)]
    return [
        re.sub(r"\s+", " ", page[max(one.start() - 40, 0) : one.end() + 30])
        for one in re.finditer(r"(?<!\w)\d[\d.,]*", "".join(hidden))
        if any(start <= one.start() < end for start, end in inside)
    ]


def _inside(page: str, sections: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give start and end of what stands under each heading, up to the next of its level or above."""
    headings = [*re.finditer(r"^(#+) (.*)$", page, re.MULTILINE)]
    for wanted in sections:
        index, heading = next((i, one) for i, one in enumerate(headings) if one.group(2) == wanted)
        later = (one.start() for one in headings[index + 1 :] if len(one[1]) <= len(heading[1]))
        yield heading.end(), next(later, len(page))
