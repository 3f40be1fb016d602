"""The one door to names of torch that a release may take away without notice.

Operations of ATen with their overloads, and what says that an operation overwrites its input, are
not part of torch's promised interface. graph.py and mixed.py get them here. If a name is missing,
no plan with a rewritten graph or mixed precision can be run; networks then run as they are.
"""

from dataclasses import dataclass
from typing import Any

import torch

# The function by which torch.export checks inputs inside a graph; it computes nothing.
GUARDS = "_guards_fn"

# Where each field of `Operations` is found, below torch. Tests take names away here.
PATHS = {
    "overload": "_ops.OpOverload",
    "conv": "ops.aten.conv2d.default",
    "batch_norm": "ops.aten.batch_norm.default",
    "relu": "ops.aten.relu.default",
    "relu_in_place": "ops.aten.relu_.default",
    "cat": "ops.aten.cat.default",
    "max_pool": "ops.aten.max_pool2d.default",
    "average_pool": "ops.aten.adaptive_avg_pool2d.default",
    "add": "ops.aten.add.Tensor",
    "add_in_place": "ops.aten.add_.Tensor",
    "max_pool_with_indices": "ops.aten.max_pool2d_with_indices.default",
    "max_pool_backward": "ops.aten.max_pool2d_with_indices_backward.default",
    "convolution_backward": "ops.aten.convolution_backward.default",
    "threshold_backward": "ops.aten.threshold_backward.default",
}
# An operation must also say by itself whether it overwrites its input.
_MUTABLE = "_schema.is_mutable"


class NotRewritable(ValueError):
    """The network's graph cannot be had, or its rewritten form does not compute the same."""


@dataclass(frozen=True)
class Operations:
    """Operations that are found in a graph, and those that a backward pass is made of."""

    overload: Any  # the type of them all
    conv: Any
    batch_norm: Any
    relu: Any
    relu_in_place: Any
    cat: Any
    max_pool: Any
    average_pool: Any
    add: Any
    add_in_place: Any
    max_pool_with_indices: Any
    max_pool_backward: Any
    convolution_backward: Any
    threshold_backward: Any

    def overwrites(self, target: Any) -> bool:
        """Whether the target of a node is an operation that overwrites its input."""
        target = getattr(target, "__wrapped__", target)  # of a function that looks at its arguments
        return isinstance(target, self.overload) and target._schema.is_mutable


def missing() -> list[str]:
    """The names that this release of torch lacks, such as "torch.ops.aten.relu.default"."""
    wanted = [*PATHS.values(), f"{PATHS['relu_in_place']}.{_MUTABLE}"]
    return [f"torch.{path}" for path in wanted if _found(path) is None]


def operations() -> Operations:
    """All operations. Raises NotRewritable, with the names, if torch lacks any."""
    if lacking := missing():
        raise NotRewritable(
            f"Expected torch to have {', '.join(lacking)}, got torch {torch.__version__} without. "
            'Take a plan that is not fused and whose precision is not "mixed".'
        )
    return Operations(**{name: _found(path) for name, path in PATHS.items()})


def _found(path: str) -> Any:
    """What is found at `path` below torch; None if there is nothing."""
    value: Any = torch
    for name in path.split("."):
        value = getattr(value, name, None)
    return value
