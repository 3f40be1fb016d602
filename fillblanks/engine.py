"""How passes are run: on which device and how many at a time.

Whatever decides speed goes through `Plan`; the method itself (fill.py) does not know.
"""

from dataclasses import dataclass

import torch

# Input values of one chunk, and its bounds: large enough to fill a few cores, small enough to stay
# in their caches and in a few hundred MiB with a 224x224 network.
_VALUES = 1 << 20
_SMALLEST, _LARGEST = 4, 256


@dataclass(frozen=True)
class Plan:
    """How passes are run. The same plan gives the same bytes on the same kind of device."""

    chunk: int  # masked images in one forward and backward pass

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"Expected chunk >= 1, got {self.chunk}.")


def default_plan(channels: int, height: int, width: int) -> Plan:
    """The plan for images of this shape."""
    return Plan(max(_SMALLEST, min(_LARGEST, _VALUES // (channels * height * width))))


def find_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
