"""By how much answers of a network may differ through rounding, by the numbers it computes with."""

import torch
from torch import fx, nn

from fillblanks.batches import Rounding

OF_8_BITS = 2.0**-7
"""A step of 8 bits with a sign."""

_COARSEST = torch.finfo(torch.bfloat16).eps
REDUCED = Rounding(0.25, _COARSEST)
"""In reduced precision, or with steps that are those of the batch, they may differ by a quarter."""

_NAMES = ("quantize_per_", "fake_quant", "quantized_decomposed")  # in those of operators


def rounding_of(net: nn.Module) -> Rounding:
    """By how much answers of an image may differ with its batch."""
    dtypes = {p.dtype for p in net.parameters() if p.is_floating_point()}
    # No network computes in 8 bits what it keeps in them: one such weight would excuse all.
    steps = [min(torch.finfo(dtype).eps, _COARSEST) for dtype in dtypes]
    # If quantized dynamically, the steps depend on the whole batch.
    if any(_is_quantised(module) for module in net.modules()):
        steps.append(OF_8_BITS)
    step = max(steps, default=0.0)
    return Rounding(max(1e-3, 8 * step), max(step, torch.finfo(torch.float32).eps))


def _is_quantised(module: nn.Module) -> bool:
    """Whether it is a quantised module, or a graph in which values are rounded to a few bits.

    A network that another library computes says so by a property `is_quantised` of its class;
    attributes of its own do not count, since a file may bring these.
    """
    if ".quantized" in type(module).__module__:
        return True
    if hasattr(type(module), "is_quantised") and module.is_quantised:
        return True
    if not isinstance(module, fx.GraphModule):  # a module of TorchScript may raise for its graph
        return False
    return any(name in str(node.target) for node in module.graph.nodes for name in _NAMES)
