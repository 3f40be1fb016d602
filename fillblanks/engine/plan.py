"""Plan: all that decides how passes are run, and so their speed and their last bits.

The method itself (fillblanks.fills) knows nothing of it; `Engine` carries a plan out, `tune` finds
a fast one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

Precision = Literal["float64", "full", "mixed", "bfloat16"]
REDUCED: tuple[Precision, ...] = ("mixed", "bfloat16")
MemoryFormat = Literal["contiguous", "channels_last"]

# Values in the images of one chunk, and bounds of the chunk: large enough to keep a few cores busy,
# small enough to stay in their caches and in a few hundred MiB with a 224x224 network.
_VALUES = 1 << 20
_SMALLEST, _LARGEST = 4, 256


@dataclass(frozen=True)
class Plan:
    """How passes are run. The same plan gives the same bytes on the same kind of device.

    `precision`: "full" is the network's own, as a rule float32; "bfloat16" runs the pass under
    autocast; "mixed" computes the logits in full and only their gradient in bfloat16 (mixed.py);
    "float64" is for reference. Only the averages of `expected_fill` are computed in bfloat16,
    because many draws make its error vanish; every other pass is then run in full.

    Raises ValueError unless chunk >= 1, block >= 0 and the other fields have one of their values.
    """

    chunk: int  # masked images in one forward and backward pass; the last chunk is padded
    block: int = 0  # draws whose masks are made and whose updates are summed at once; 0: a chunk
    precision: Precision = "full"
    memory_format: MemoryFormat = "contiguous"
    fused: bool = False  # run a graph that computes the same with less work (graph.py)
    captured: bool = False  # on a GPU: record a pass once as a CUDA graph, and replay it

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"Expected chunk >= 1, got {self.chunk}.")
        if self.block < 0:
            raise ValueError(f"Expected block >= 0, got {self.block}.")
        if not self.block:
            object.__setattr__(self, "block", self.chunk)
        for value, kind in ((self.precision, Precision), (self.memory_format, MemoryFormat)):
            if value not in get_args(kind):
                raise ValueError(f"Expected one of {', '.join(get_args(kind))}, got {value!r}.")

    def __str__(self) -> str:
        ways: list[str] = [self.precision, self.memory_format]
        ways += [name for name in ("fused", "captured") if getattr(self, name)]
        return f"{', '.join(ways)}; {self.chunk} images in a pass, {self.block} in a block"

    def halved(self) -> Self:
        """The plan with half the chunk and half the block."""
        return replace(self, chunk=max(1, self.chunk // 2), block=max(1, self.block // 2))

    @property
    def needs_graph(self) -> bool:
        """Whether the network's graph is needed (graph.py), and not only the network."""
        return self.fused or self.precision == "mixed"

    @property
    def exact(self) -> Self:
        """The plan for passes that are not averaged."""
        return replace(self, precision="full") if self.precision in REDUCED else self


def default_plan(channels: int, height: int, width: int) -> Plan:
    """The plan that takes the network as it is, for images of this shape (height, width in pixels).

    Its chunk is 4 to 256 images, about 4 MiB of float32 values.
    """
    values = channels * height * width
    return with_block(Plan(max(_SMALLEST, min(_LARGEST, _VALUES // values))), values)


def with_fixed(
    plan: Plan, fixed: dict[str, Any], shape: Sequence[int], largest: int | None = None
) -> Plan:
    """The plan with the `fixed` fields of `Plan`, for images of `shape` (C, H, W).

    `largest` is the most images that the network takes in a pass; the chunk has no more, unless it
    is fixed. Unless it is fixed, the block is made to suit the chunk. Raises ValueError as `Plan`
    does.
    """
    plan = replace(plan, **({"chunk": min(plan.chunk, largest or plan.chunk)} | fixed))
    return plan if "block" in fixed else with_block(plan, math.prod(shape))


def with_block(plan: Plan, values: int) -> Plan:
    """The plan with as many chunks in a block as caches hold, if an image has `values` values."""
    return replace(plan, block=plan.chunk * max(1, _VALUES // (plan.chunk * values)))
