"""Prefixes that wrappers put before the names of tensors, taken off."""

from ap3.files.lazy_tensors import Entry

_PARALLEL = "module."
_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")


def unwrapped(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Take off what DataParallel, torch.compile, FSDP and checkpointing put into names.

    Parameters
    ----------
    entries
        Tensors by name; should two get the same name, all keep theirs.

    Examples
    --------
    >>> entry = Entry((2, 2), lambda: None)
    >>> list(unwrapped({"module._orig_mod.fc.weight": entry, "n_averaged": Entry((), lambda: None)}))
    ['fc.weight', 'n_averaged']
    """
    names = {name: _uninserted(name) for name in entries}
    # An averaged model has a counter beside its module, so what may be weights decides.
    layers = [new for old, new in names.items() if len(entries[old].shape) >= 2] or names.values()
    while layers and all(name.startswith(_PARALLEL) for name in layers):
        layers = [name.removeprefix(_PARALLEL) for name in layers]
        names = {old: new.removeprefix(_PARALLEL) for old, new in names.items()}
    if len(set(names.values())) != len(names):
        return entries
    return {names[name]: entry for name, entry in entries.items()}


def _uninserted(name: str) -> str:
    for part in _INSERTED:
        name = name.replace(part, "")
    return name
