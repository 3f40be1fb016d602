"""A network with its own weights in random order: nothing that it has learnt is left."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def has_weights(net: nn.Module) -> bool:
    """Whether the network has weights that can be permuted: see `permuted_weights`."""
    return bool(_weights(net))


@contextmanager
def permuted_weights(net: nn.Module, seed: int) -> Iterator[None]:
    """Inside, each weight tensor of more than one dimension is in random order, drawn by `seed`.

    If these hold less than half of the network's numbers, all its parameters and buffers are: then
    what it has learnt is elsewhere.
    Afterwards the network has its own tensors again, which are never written to. The test is that
    of Adebayo et al. 2018 (arXiv 1810.03292): a map that stays does not show what was learnt.
    Raises ValueError if there are no weights.
    """
    weights = _weights(net)
    if not weights:
        raise ValueError("Expected a network with weights, got one without. Ask `has_weights`.")
    generator = torch.Generator().manual_seed(seed)
    own = [weight.data for weight in weights]
    try:
        for weight, data in zip(weights, own, strict=True):
            order = torch.randperm(data.numel(), generator=generator).to(data.device)
            weight.data = data.flatten()[order].view(data.shape)
        yield
    finally:
        for weight, data in zip(weights, own, strict=True):
            weight.data = data


def _weights(net: nn.Module) -> list[Tensor]:
    parameters: list[Tensor] = [one for one in net.parameters() if one.is_floating_point()]
    held = parameters + [one for one in net.buffers() if one.is_floating_point()]
    usual = [one for one in parameters if one.dim() > 1]
    numbers, of_usual = (sum(one.numel() for one in some) for some in (held, usual))
    return usual if 2 * of_usual >= numbers else [one for one in held if one.numel() > 1]
