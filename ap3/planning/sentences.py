"""A plan in words: a line for each stage, which of them take long, and all of it."""

from collections.abc import Iterator, Sequence

from ap3.measuring.covariance import LONG
from ap3.planning.foresight import Foreseen


def plan_of(study: str, foreseen: Sequence[Foreseen], device: str, threads: int) -> Iterator[str]:
    r"""Tell what was foreseen of a study, a line at a time.

    Parameters
    ----------
    study
        Its name.
    foreseen
        The stages.
    device, threads
        Where a job runs, and with how many threads of the CPU.

    Examples
    --------
    >>> stage = Foreseen("baseline", "digits", "small_vgg", pixels=16, jobs=2, seconds=720.0)
    >>> print(*plan_of("demo", [stage], "cpu", 1), sep="\n")
    Study demo on this machine (cpu, threads of each job: 1)
    <BLANKLINE>
    stage       network                    data set             pixels  jobs  each
    baseline    small_vgg                  digits                   16     2  12 min
    <BLANKLINE>
    Over ten minutes: baseline of small_vgg on digits.
    One job after the other: 24 min. Pruning, tables and figures come to it, seconds each.
    """
    yield f"Study {study} on this machine ({device}, threads of each job: {threads})"
    yield ""
    heading = "stage", "network", "data set", "pixels", "jobs", "each"
    rows = [
        (one.stage, one.model, one.dataset, one.pixels, one.jobs, duration(one.seconds))
        for one in foreseen
    ]
    models = max([25, *(len(one.model) for one in foreseen)])
    datasets = max([18, *(len(one.dataset) for one in foreseen)])
    for stage, model, dataset, pixels, jobs, each in (heading, *rows):
        about = f"{stage:<10}  {model.ljust(models)}  {dataset.ljust(datasets)}"
        yield f"{about}  {pixels:>6}  {jobs:>4}  {each}"
    yield ""
    long = [one for one in foreseen if one.seconds > LONG]
    named = [f"{one.stage} of {one.model} on {one.dataset}" for one in long]
    if long:
        yield f"Over ten minutes: {', '.join(named)}."
    else:
        yield "No stage takes over ten minutes."
    total = sum(one.jobs * one.seconds for one in foreseen)
    left_out = "Pruning, tables and figures come to it, seconds each."
    yield f"One job after the other: {duration(total)}. {left_out}"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it, in two digits.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.4, 75, 5400, 200_000)]
    ['0.4 s', '75 s', '1.5 h', '2.3 days']
    """
    for size, unit, least in ((86_400, "days", 2), (3600, "h", 1), (60, "min", 2)):
        if seconds >= least * size:
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds)} s"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
