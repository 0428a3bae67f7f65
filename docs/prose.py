"""Set every number in the sentences of the pages from the published tables: `python docs/prose.py`.

It tells which numbers it changed, and fails if a page holds one that comes from no table. The sentences
stand in docs/said, a module for each page, every number beside the cell that it comes from.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
from said import (  # noqa: E402
    findings,
    first_figure,
    masks,
    network,
    published_head,
    readme,
    theory,
)
from said.sentences import corrected, places, untold  # noqa: E402

PAGES = readme, findings, network, masks, published_head, theory, first_figure


def main() -> int:
    """Set the numbers of all pages; return 1 if one of them comes from nowhere."""
    count, missing = 0, []
    for page in PAGES:
        path, sentences = (DOCS / page.PAGE).resolve(), [*page.sentences()]
        text = path.read_text(encoding="utf-8")
        for start, end, number in places(text, sentences):
            count += 1
            if text[start:end] != number:
                line = text.count("\n", 0, start) + 1
                print(f"{path.name}:{line}: {text[start:end]} is {number} now")
        path.write_text(corrected(text, sentences), encoding="utf-8")
        untold_here = untold(text, sentences, page.GIVEN, page.SECTIONS)
        missing += [f"{path.name} has a number from no table: …{words}…" for words in untold_here]
    print(
        "\n".join([*missing, f"{count} numbers of {len(PAGES)} pages are as the tables have them."])
    )
    return bool(missing)


if __name__ == "__main__":
    raise SystemExit(main())
