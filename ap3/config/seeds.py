"""Seeds that follow from names, so that no result depends on the order in which jobs run."""

import hashlib


def derive(seed: int, *names: object) -> int:
    """Hash a study's seed and the names of what is drawn into a seed of 63 bits.

    Two draws share a seed only if every name is equal, whatever else the study holds.

    Examples
    --------
    >>> derive(0, "digits", "small_vgg", 1) == derive(0, "digits", "small_vgg", 1)
    True
    >>> derive(0, "digits", "small_vgg", 1) == derive(0, "digits", "small_vgg", 2)
    False
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
