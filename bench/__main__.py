"""Run every measurement that a CPU can make, one after the other, and gather the ratios.

    python bench

Tables go to `results/bench/NAME.txt`, the ratios of all to `results/bench/summary.json`.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from ap3.files.storage import write_atomically

HERE = Path(__file__).parent
OUT = HERE.parent / "results" / "bench"
NAMES = ("training", "accuracy", "finetuning", "latent", "compare", "network", "growth", "workflow")


def main() -> None:
    """Run all; stop at the first that fails."""
    plain = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser("bench", description=__doc__, formatter_class=plain).parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    summary: dict[str, float] = {}
    for name in NAMES:
        start = time.monotonic()
        print(f"== {name}", flush=True)
        summary |= measured(name)
        print(f"== {name} took {time.monotonic() - start:.0f} s\n", flush=True)
    text = json.dumps(summary, indent=2) + "\n"
    write_atomically(OUT / "summary.json", lambda path: path.write_text(text, encoding="utf-8"))
    print(text)


def measured(name: str) -> dict[str, float]:
    """Run one measurement, showing and keeping what it prints; returns its ratios."""
    ratios = OUT / f"{name}.json"
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(ratios)]
    if name == "growth":
        command += ["--plot", str(OUT / "growth.png")]
    with (OUT / f"{name}.txt").open("w", encoding="utf-8") as kept:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        for line in running.stdout or ():
            print(line, end="", flush=True)
            kept.write(line)
    if running.wait():
        sys.exit(running.returncode)
    found: dict[str, float] = json.loads(ratios.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
