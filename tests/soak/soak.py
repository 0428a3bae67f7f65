"""Kill and fuzz for some minutes, and say what came out: `make soak`.

Usage: python tests/soak/soak.py [--minutes 60] [--seed 0] [--only files] [--out results/soak.csv]
"""

import argparse
import csv
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import configs
import files
import kills
import near_configs
from fuzz_data import small_images
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

Rows = list[tuple[str, int, int, str]]
_WRONG = "wrong"


def soak_training(until: float, chance: random.Random, folder: Path) -> Rows:
    """Stop `ap3 baseline` at random moments."""
    small_images().save(folder / "data.safetensors")
    command, whole = kills.training(folder / "data.safetensors", 60), folder / "whole"
    return _soak_kills("a training", command, whole, until, chance)


def soak_workflow(until: float, chance: random.Random, folder: Path) -> Rows:
    """Stop `snakemake` at random moments; where it alone is killed, its jobs live on as orphans."""
    (folder / "config.yaml").write_text(kills.CONFIG, encoding="utf-8")
    command = [*kills.workflow(), "--configfile", str(folder / "config.yaml")]
    return _soak_kills("a workflow", command, folder / "whole", until, chance, [*kills.WAYS])


def _soak_kills(
    what: str,
    command: list[str],
    whole: Path,
    until: float,
    chance: random.Random,
    allowed: Sequence[str] = (kills.KILL, kills.INTERRUPT),
) -> Rows:
    """Stop a command, start it again, and compare what it has made in the end."""
    whole.mkdir()
    seconds = kills.complete(command, whole)
    expected = kills.contents(whole)
    stopped: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    while not runs or time.monotonic() < until:
        hurt = whole.with_name(f"hurt{runs.total()}")
        hurt.mkdir()
        ways = kills.stop_until_done(command, hurt, seconds, chance.randint(1, 6), chance, allowed)
        stopped.update(ways)
        runs.update({*ways, ""})
        if kills.contents(hurt) == expected:
            shutil.rmtree(hurt)
        else:
            wrong.update({*ways, ""})
    return [
        (
            f"{way} of {what} ({seconds:.0f} s)",
            stopped[way],
            wrong[way],
            f"{runs[way] - wrong[way]} of {runs[way]} runs with such a stop equal to the bit",
        )
        for way in allowed
    ]


def soak_configs(until: float, chance: random.Random, folder: Path) -> Rows:
    """Draw configurations."""
    rows: Rows = []
    any_of_them = configs.likely | configs.broken() | near_configs.nearly()
    # What is drawn, what checks it, how many at a time, and a share of the time.
    kinds: dict[str, tuple[SearchStrategy[Any], Callable[[Any], str], int, int]] = {
        "right": (configs.likely, configs.verdict, 200, 2),
        "broken": (configs.broken(), configs.verdict, 200, 2),
        **{
            f"right but for {kind}": (near_configs.nearly((kind,)), configs.verdict, 100, 1)
            for kind in near_configs.KINDS
        },
        "any of these, given to snakemake --dry-run": (any_of_them, configs.dry_run, 4, 4),
    }
    left = sum(share for *_, share in kinds.values())
    for kind, (drawn, check, examples, share) in kinds.items():
        counts: Counter[str] = Counter()
        stop = time.monotonic() + (until - time.monotonic()) * share / left
        left -= share
        while not counts or time.monotonic() < stop:
            _draw(drawn, check, examples, counts, chance.randrange(2**32))
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        rows.append((f"configuration, {kind}", sum(counts.values()), 0, said))
    return rows


def _draw(
    drawn: SearchStrategy[object],
    check: Callable[[object], str],
    examples: int,
    counts: Counter[str],
    seed: int,
) -> None:
    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def count(config: object) -> None:
        counts[check(config)] += 1

    count()


def soak_files(until: float, chance: random.Random, folder: Path) -> Rows:
    """Damage files, and write hostile ones."""
    good, work = folder / "good", folder / "work"
    good.mkdir()
    work.mkdir()
    files.make(good, small_images())
    counts: Counter[tuple[str, str]] = Counter()
    while not counts or time.monotonic() < until:
        for name in files.READERS:
            counts[_attacked(name, good, work, chance)] += 1
    ways = sorted({way for way, _ in counts})
    return [
        (
            f"file, {way}",
            sum(counts[way, verdict] for verdict in ("read", "refused", _WRONG)),
            counts[way, _WRONG],
            f"{counts[way, 'refused']} refused, {counts[way, 'read']} read",
        )
        for way in ways
    ]


def _attacked(name: str, good: Path, work: Path, chance: random.Random) -> tuple[str, str]:
    """Attack a reader; where that goes wrong, say how, and keep what it was given."""
    try:
        return files.attack(name, good, work, chance)
    except Exception:
        traceback.print_exc()
        kept = shutil.move(work, tempfile.mkdtemp(prefix="ap3-soak-"))
        print(f"{name} was given what is kept in {kept}", file=sys.stderr)
        work.mkdir()
        return f"given to {name}", _WRONG


SHARES = {soak_training: 0.35, soak_workflow: 0.4, soak_configs: 0.1, soak_files: 0.15}


def main() -> None:
    """Run all for the time asked for; the exit status is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["training", "workflow", "configs", "files"])
    parser.add_argument("--out", type=Path, default=Path("results/soak.csv"))
    options = parser.parse_args()
    # A shell starts its background jobs with SIGINT ignored, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.extend(map(str, kills.OWN))  # where pytest looks as well
    chance = random.Random(options.seed)
    rows: Rows = []
    print(_line("fault", "times", "wrong", "what came out"))
    print(_line(*["---"] * 4), flush=True)
    shares = {soak: 1.0 for soak in SHARES if soak.__name__ == f"soak_{options.only}"} or SHARES
    for soak, share in shares.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            until = time.monotonic() + share * 60 * options.minutes
            found = soak(until, chance, Path(folder))
        for row in found:
            print(_line(*row), flush=True)
        rows += found
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["fault", "times", "wrong", "what came out"])
        writer.writerows(rows)
    sys.exit(any(wrong for _, _, wrong, _ in rows))


def _line(*cells: object) -> str:
    """Write a line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
