"""Parameters that require no gradients in an audit, and do as MLflow loads them."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_REQUIRED = "required_gradients"  # an attribute of a parameter


def freeze(net: nn.Module) -> None:
    """Has no parameter require gradients, and notes which of them did; see `as_loaded`."""
    for parameter in net.parameters():
        setattr(parameter, _REQUIRED, parameter.requires_grad)
        parameter.requires_grad_(False)


@contextmanager
def as_loaded(net: nn.Module) -> Iterator[None]:
    """Inside, parameters require gradients as MLflow has loaded them, all of them if unknown.

    torch takes other kernels then for some products, also if no gradient is asked for.
    """
    some = [
        one
        for one in net.parameters()
        if getattr(one, _REQUIRED, one.is_floating_point()) and not one.requires_grad
    ]
    try:
        for parameter in some:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in some:
            parameter.requires_grad_(False)
