"""What a study says to a figure: which network and which data set stand for which role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ap3.errors import InvalidValueError

ANY = "*"

_OPTIONS = {"network role": "--network", "data slot": "--data"}


@dataclass(frozen=True)
class Roles:
    """A study's networks by network family, and its data sets by data slot.

    A name under `ANY` stands for every role that is not mapped.

    >>> roles = Roles(networks={"vgg": "small_vgg"}, data={"ten_classes": "digits"})
    >>> roles.network("vgg", figure="fig03"), roles.data_set("ten_classes", figure="fig03")
    ('small_vgg', 'digits')
    """

    networks: Mapping[str, str]
    data: Mapping[str, str]

    @classmethod
    def parse(cls, networks: Iterable[str], data: Iterable[str]) -> "Roles":
        """Read `ROLE=NAME` pairs as they are typed; a bare `NAME` stands for every other role.

        Raises
        ------
        UserError
            If an entry is neither, or a role is given twice.

        Examples
        --------
        >>> Roles.parse(["vit=vit_b_16"], ["tiny-imagenet"]).networks
        {'vit': 'vit_b_16'}
        """
        return cls(_pairs(networks), _pairs(data))

    def network(self, role: str, figure: str) -> str:
        """Return the network that stands for `role`; `figure` is who asks, for the refusal."""
        return _look_up(self.networks, role, "network role", figure)

    def data_set(self, role: str, figure: str) -> str:
        """Return the data set that stands for the slot `role`."""
        return _look_up(self.data, role, "data slot", figure)


def _look_up(mapping: Mapping[str, str], role: str, what: str, figure: str) -> str:
    if role in mapping or ANY in mapping:
        return mapping.get(role, mapping.get(ANY, ""))
    mapped = ", ".join(f"{role}={name}" for role, name in mapping.items()) or "nothing"
    raise InvalidValueError(
        f"{figure} needs the {what} {role!r}, which is not mapped (mapped: {mapped}); "
        f"map {role!r} to one of the study's own (ap3 figure does by {_OPTIONS[what]} {role}=NAME), or "
        f"leave {figure} out."
    )


def _pairs(entries: Iterable[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for entry in entries:
        role, _, name = entry.partition("=") if "=" in entry else (ANY, "", entry)
        if not (role and name):
            raise InvalidValueError(
                f"expected NAME or ROLE=NAME, such as vgg=vgg16, and found {entry!r}; write it so."
            )
        if role in mapping:
            which = "every role" if role == ANY else f"the role {role!r}"
            raise InvalidValueError(
                f"{which} is given twice ({mapping[role]}, {name}); give it once."
            )
        mapping[role] = name
    return mapping
