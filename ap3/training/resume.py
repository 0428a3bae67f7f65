"""A file beside the output of a long training, from which it goes on after it was killed.

The file is a convenience and never a result: it is keyed by all that decides the training, is not
used when the key differs, and is removed once the output is there. What goes on from it ends with
the same bits, on the CPU, as what was never killed.
"""

import copy
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ap3.errors import InvalidValueError, UserError
from ap3.files import results_lock, storage

SECONDS = "AP3_RESUME_SECONDS"
"""Environment variable: the least time between two writes of a resume file, in seconds."""

_SECONDS = 10.0
_A_WHILE = 1.0  # seconds
_LARGEST_SHARE = 0.05  # of a training's time that may go into writing resume files


def _pause() -> float:
    asked = os.environ.get(SECONDS, str(_SECONDS))
    try:
        return float(asked)
    except ValueError:
        raise InvalidValueError(
            f"the environment variable {SECONDS} holds a number of seconds, but is {asked!r}; "
            "change or unset it."
        ) from None


class Stateful(Protocol):
    """What a training changes as it goes: anything that gives its state and takes it back."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state: numbers, texts and tensors in mappings and lists."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take back what `state_dict` returned."""


class Resume:
    """The resume file of one training.

    Parameters
    ----------
    path
        Of the file; None never writes one.
    key
        All that decides the training's result, as `key_of` makes it.
    counted
        What it goes on after a number of.
    """

    def __init__(self, path: Path | None = None, key: str = "", counted: str = "epoch") -> None:
        self.path, self.key, self.counted = path, key, counted
        self._parts: dict[str, Stateful] = {}
        self._started = self._written = time.monotonic()
        self._pause = _pause()

    def track(self, **parts: Stateful) -> None:
        """Add what a resume file must hold."""
        self._parts |= parts

    def restore(self) -> int:
        """Put all parts back as they were after the last epoch kept, and return its number.

        Returns 0, and changes nothing, where there is no file that fits.
        """
        if self.path is None or not self.path.exists():
            return 0
        try:
            arrays, about = storage.load(self.path)
        except UserError as error:
            return self._decline(str(error))
        if about.get("key") != self.key:
            return self._decline("it was written with other settings, inputs or code")
        parts = torch.load(io.BytesIO(arrays["parts"].tobytes()), weights_only=True)
        for name, state in parts.items():
            self._parts[name].load_state_dict(state)
        print(f"{self.path}: going on after {self.counted} {about['epoch']}.", file=sys.stderr)
        return int(about["epoch"])

    def keep(self, epoch: int) -> None:
        """Write the file if the last time is long enough ago; `epoch` is the last one complete."""
        start = time.monotonic()
        if start - self._written >= self._pause:
            self._write(epoch, self._parts)
            self._written = time.monotonic()
            self._pause = max(self._pause, (self._written - start) / _LARGEST_SHARE)

    def finish(self, epoch: int, *names: str) -> None:
        """Keep only the parts `names` of a training that is complete, if it took a while."""
        if time.monotonic() - self._started >= min(self._pause, _A_WHILE):
            self._write(epoch, {name: self._parts[name] for name in names})

    def _write(self, epoch: int, parts: Mapping[str, Stateful]) -> None:
        if self.path is None:
            return
        packed = io.BytesIO()
        states = {name: part.state_dict() for name, part in parts.items()}
        torch.save(_on_cpu(states), packed)
        content = np.frombuffer(packed.getbuffer(), np.uint8)
        try:
            storage.save(
                self.path, {"parts": content}, key=self.key, epoch=epoch, parts=sorted(parts)
            )
        except results_lock.SupersededError:
            raise
        except UserError as error:
            print(f"without a file to go on from after a crash: {error}", file=sys.stderr)
            self.path = None

    def remove(self) -> None:
        """Remove the file: the output is there."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _decline(self, why: str) -> int:
        print(f"{self.path} is not used: {why}.", file=sys.stderr)
        return 0


def key_of(**parts: Any) -> str:
    """Digest what decides a result: settings, digests of inputs and of code.

    Examples
    --------
    >>> key_of(seed=0, epochs=2) == key_of(epochs=2, seed=0) != key_of(epochs=3, seed=0)
    True
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(f"{text} torch {torch.__version__}".encode()).hexdigest()


def _on_cpu(state: Any) -> Any:
    """Copy a state's tensors to the CPU: the next attempt may have another card, or be called so."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        moved = copy.copy(state)
        moved.update({key: _on_cpu(value) for key, value in state.items()})
        return moved
    if isinstance(state, list | tuple):
        return type(state)(map(_on_cpu, state))
    return state


class Draws:
    """The state of a generator of random numbers, and of torch's own."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all generators that a training on this device draws from."""
        states = {"own": self.generator.get_state(), "torch": torch.get_rng_state()}
        if self.device.type != "cpu":
            states["card"] = torch.get_device_module(self.device).get_rng_state(self.device)
        return states

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put the generators back."""
        self.generator.set_state(state["own"])
        torch.set_rng_state(state["torch"])
        if "card" in state:
            torch.get_device_module(self.device).set_rng_state(state["card"], self.device)


class Rows:
    """A list of rows that a training adds to."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put them back."""
        self.rows[:] = state["rows"]
