# A process that has imported the libraries, from which the stages of a large run start at once.
# Needs: CARD and due_devices. Gives: start_warm_process; no rules.

import sys
import tempfile

# Jobs that repay importing everything once; an updated figure or two is quicker without.
ENOUGH_JOBS = 8

SERVE = "from ap3.cli import warm_process; warm_process.main()"

# What a stage takes of threads it sets itself; a library's own would wait busily in every fork. The
# memory of one large array is kept for the next, for which the system would have to clear it again.
LIBRARY_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}


def start_warm_process():
    """Start it for jobs on this machine and in this environment; it ends with this process.

    The variable that names its socket to the stages is set and empty where the user wants none.
    Not with jobs that take a card: what has looked for one hands it to no process that forks from it.
    """
    if (
        door.WARM_PLACE in os.environ
        or (CARD and due_devices() - {"cpu"})
        or sys.platform != "linux"
        or workflow.non_local_exec
        or workflow.deployment_settings.deployment_method
        or len(list(workflow.dag.needrun_jobs())) < ENOUGH_JOBS
    ):
        return
    place = Path(tempfile.mkdtemp(prefix="ap3-"), "socket")
    atexit.register(shutil.rmtree, place.parent, ignore_errors=True)
    os.environ[door.WARM_PLACE] = str(place)
    global WARM_PROCESS  # which ends with the last reference to its standard input
    WARM_PROCESS = subprocess.Popen(
        [sys.executable, "-P", "-c", SERVE, str(place)],
        env=os.environ | LIBRARY_SETTINGS,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
