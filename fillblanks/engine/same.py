"""Whether a copy of a network that does less work answers as the network does."""

import torch
from torch import Tensor, nn

from fillblanks.engine.aten import NotRewritable
from fillblanks.loss_sums import loss_weights

_LOGITS, _SLOPES = 1e-3, 0.01  # shares of the largest value, and of the gradient's norm
_ROUNDING = 64 * torch.finfo(torch.float32).eps  # of a term of a sum
_BLANK = 2  # pixels a side of what is blank
_SEED = 0


def with_masked(images: Tensor) -> Tensor:
    """The first and last of `images`, (N, C, H, W) in [0, 1], whole, and half blank (4, C, H, W).

    A network may be made so that its copy is another network where patches are blank.
    """
    both = torch.cat([images[:1], images[-1:]])
    generator = torch.Generator().manual_seed(_SEED)
    rows, columns = (-(-side // _BLANK) for side in images.shape[2:])
    keep = torch.rand((2, 1, rows, columns), generator=generator) < 0.5
    keep = keep.repeat_interleave(_BLANK, 2).repeat_interleave(_BLANK, 3)
    return torch.cat([both, both * keep[..., : images.shape[2], : images.shape[3]].to(both)])


def expect_same(
    net: nn.Module,
    copy: nn.Module,
    example: Tensor,
    name: str = "graph",
    memory_format: torch.memory_format = torch.contiguous_format,
) -> None:
    """Raises NotRewritable unless `copy` gives the logits and gradients of `net` for `example`.

    `example` (N, C, H, W) is normalised, and given to the copy in `memory_format`. Beside all
    logits of all images, two sums of each image are compared, those from which the loss gets its
    direction, see `loss_weights`: among very large logits nobody would see that others differ.
    """
    # Exporting leaves out changes of gradients: hooks, and a backward of the network's own.
    expected, slopes, weights = _answer(net, example, None)
    got, others, _ = _answer(copy, example.contiguous(memory_format=memory_format), weights)
    if not _alike(expected, got, weights):
        raise NotRewritable(
            f"Expected the same logits from the network and from its {name}, got different ones."
        )
    for slope, own in zip(slopes, others, strict=True):
        apart, size = ((values.flatten(1).norm(dim=1)) for values in (slope - own, slope))
        if not (apart <= _SLOPES * size).all():
            raise NotRewritable(
                f"Expected the same gradients from the network and from its {name}, got different "
                "ones."
            )


def _alike(expected: Tensor, got: Tensor, weights: Tensor) -> bool:
    """Whether logits (N, K) and their weighted sums are alike, each image measured by itself."""
    if expected.shape != got.shape:
        return False
    least = expected.abs().amax(1, keepdim=True).clamp(min=1)
    if not ((expected - got).abs() <= _LOGITS * least).all():
        return False
    for each in weights:
        terms, others = (each * values.double() for values in (expected, got))
        own = terms.sum(-1).abs()
        # A class that is surely not the answer has no weight, however large its logit.
        most = _LOGITS * own + _ROUNDING * terms.abs().sum(-1)
        if not ((terms.sum(-1) - others.sum(-1)).abs() <= most).all():
            return False
    return True


def _answer(
    net: nn.Module, example: Tensor, weights: Tensor | None
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Logits, the gradients of their weighted sums at the input, and the weights.

    A gradient is 0 if there is none. Without `weights` they are made from the logits.
    """
    with torch.enable_grad():
        x = example.clone().requires_grad_()
        logits = net(x)
        given = logits.detach()
        if weights is None:
            weights = loss_weights(given, torch.Generator().manual_seed(_SEED))
        slopes = []
        for each in weights if logits.requires_grad and logits.shape == weights.shape[1:] else ():
            total = (logits.double() * each).sum()
            (slope,) = torch.autograd.grad(total, x, retain_graph=True, allow_unused=True)
            slopes.append(torch.zeros_like(x) if slope is None else slope)
    return given, slopes or [torch.zeros_like(x)] * len(weights), weights
