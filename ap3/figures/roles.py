"""What a study says to a figure: which network and which data set stand for which role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ap3.errors import UserError


@dataclass(frozen=True)
class Roles:
    """A study's networks by network family, and its data sets by data slot.

    >>> roles = Roles(networks={"vgg": "small_vgg"}, data={"ten_classes": "digits"})
    >>> roles.network("vgg", figure="fig03"), roles.data_set("ten_classes", figure="fig03")
    ('small_vgg', 'digits')
    """

    networks: Mapping[str, str]
    data: Mapping[str, str]

    @classmethod
    def parse(cls, networks: Iterable[str], data: Iterable[str]) -> "Roles":
        """Read `ROLE=NAME` pairs as they are typed on the command line.

        Raises
        ------
        UserError
            If an entry is no `ROLE=NAME`, or a role is given twice.

        Examples
        --------
        >>> Roles.parse(["vit=vit_b_16"], ["large_images=tiny_imagenet"]).networks
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
    if role in mapping:
        return mapping[role]
    mapped = ", ".join(f"{role}={name}" for role, name in mapping.items()) or "nothing"
    raise UserError(
        f"{figure} needs the {what} {role!r}, which is not mapped (mapped: {mapped}); "
        f"map {role!r} to one of the study's own, or leave {figure} out."
    )


def _pairs(entries: Iterable[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for entry in entries:
        role, _, name = entry.partition("=")
        if not (role and name):
            raise UserError(
                f"expected ROLE=NAME, such as vgg=vgg16, and found {entry!r}; write it so."
            )
        if role in mapping:
            raise UserError(
                f"the role {role!r} is given twice ({mapping[role]}, {name}); give it once."
            )
        mapping[role] = name
    return mapping
