"""Dry-runs Snakemake in forks of one process that has imported it: each plan costs half the time.

Each line of standard input is a request; standard output answers it with the exit status. Where
the cache between workflows is on, a plan also prints the name of each output's entry in it.
"""

import json
import os
import sys

from snakemake.caching.local import OutputFileCache
from snakemake.cli import main


async def _print_entries(self, job) -> bool:
    for output, entry in await self.get_outputfiles_and_cachefiles(job):
        print(f"entry {output} {entry.name}")
    return False


def _run(request: dict) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.path[:0] = request["path"]
    main(request["arguments"])


if __name__ == "__main__":
    OutputFileCache.exists = _print_entries
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
