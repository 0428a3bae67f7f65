"""What was not compared and differs all the same: counted, so that nothing is left out silently."""

from ap3.comparing.equality import are_equal
from ap3.comparing.layer_names import Matching
from ap3.files.safe_names import listed


def differing(pairs: Matching, compared: set[str]) -> list[str]:
    """Say which tensors beside the layers differ, and which are in one network only.

    Parameters
    ----------
    pairs
        The networks.
    compared
        Names of the layers that were compared.

    Returns
    -------
    list
        No sentence, or one or two.
    """
    one, two = pairs.baseline.entries, pairs.pruned.entries
    layers = compared | set(pairs.names) | set(pairs.added)
    both = [name for name in one if name in two and name not in layers]
    different = [name for name in both if not are_equal(one[name], two[name])]
    layers |= {name for name, entry in [*one.items(), *two.items()] if len(entry.shape) >= 2}
    single = [name for name in one.keys() ^ two.keys() if name not in layers]
    said = []
    if different:
        said.append(
            f"tensors that are not compared and differ: {len(different):,} ({listed(different)})."
        )
    if single:
        single.sort()
        said.append(f"further tensors in one network only: {len(single):,} ({listed(single)}).")
    return said
