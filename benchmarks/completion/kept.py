"""Kept: a folder of finished parts, so that a run that was cut short goes on."""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Arrays = dict[str, np.ndarray]
_SECONDS = "cpu seconds"


class Missing(Exception):
    """A part is not kept, and shall not be made."""


class Kept:
    """A folder of parts. `seconds` sums the CPU time that the parts took which were asked for.

    With `finished` no part is made: one that is not there raises Missing.
    """

    def __init__(self, folder: Path, finished: bool = False):
        self.folder, self.finished, self.seconds = folder, finished, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, key: object, make: Callable[[], Arrays]) -> Arrays:
        """The part of this name and key; `make` makes it if it is not there."""
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        file = self.folder / f"{_slug(name)}-{digest}.npz"
        if not file.exists():
            if self.finished:
                raise Missing(name)
            started = time.process_time()
            found = make()
            seconds = time.process_time() - started
            half = file.with_suffix(".part")
            with half.open("wb") as stream:
                np.savez(stream, **found, **{_SECONDS: np.array(seconds)})
            half.rename(file)
            print(f"{name}: {seconds:.0f} s of CPU time", flush=True)
        with np.load(file, allow_pickle=False) as data:
            kept = dict(data)
        self.seconds += float(kept.pop(_SECONDS))
        return kept


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def digest(*values: Tensor | nn.Module) -> str:
    """The sha256 of tensors, and of the graph and weights of networks."""
    found = hashlib.sha256()
    for value in values:
        tensors = [value] if isinstance(value, Tensor) else list(value.state_dict().values())
        found.update(str(value).encode() if isinstance(value, nn.Module) else b"")
        for tensor in tensors:
            found.update(str((tensor.dtype, tuple(tensor.shape))).encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def network(kept: Kept, name: str, key: object, net: nn.Module, train: Callable[[], None]) -> None:
    """Gives `net` its trained weights; `train` trains it if they are not kept."""

    def make() -> Arrays:
        train()
        return {name: value.numpy() for name, value in net.state_dict().items()}

    weights = kept(f"weights {name}", (key, digest(net)), make)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    net.eval().requires_grad_(False)
