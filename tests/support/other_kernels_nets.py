"""A network that answers otherwise on one other kind of processor, and the bits of its kernels."""

import numpy as np
import torch
from torch import nn

_SCALE = 2**40  # makes whole numbers of a softmax that hold all its bits


def _drawn(*shape):
    """Numbers between -5 and 5 that are the same in every process, as those of randn are not."""
    return torch.randint(-500, 500, shape, generator=torch.Generator().manual_seed(0)) / 100


def bits():
    """Bits of a softmax, a product of matrices and a convolution, as this process computes them."""
    given, weights = _drawn(4, 16, 14, 14), _drawn(32, 16, 3, 3)
    found = {
        "softmax": _drawn(8, 500).softmax(1),
        "product": _drawn(8, 500) @ _drawn(500, 8),
        "convolution": torch.conv2d(given, weights),
    }
    return {name: values.numpy().view(np.int32) for name, values in found.items()}


def whole_numbers():
    """A softmax as whole numbers, as this process computes it."""
    return (_drawn(8, 500).softmax(1) * _SCALE).long().numpy()


def _sums(values):
    """Sums of so many numbers that threads share them."""
    return torch.stack([(values[:, None] * values.roll(n)).sum() for n in range(8)])


def whole_sums(threads):
    """Sums as whole numbers, as this process computes them with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return (_sums(_drawn(2600)) * _SCALE).long().numpy()
    finally:
        torch.set_num_threads(before)


def chosen():
    """The kernels that torch has chosen in this process."""
    return torch.backends.cpu.get_cpu_capability()


class Elsewhere(nn.Module):
    """Answers as `net`, but with other classes if a softmax is as `known`, in whole numbers.

    With `ends` sums must be as these too. No number by chance, with fewer bits or in another order
    is that of the other processor.
    """

    def __init__(self, net, known, ends=None):
        super().__init__()
        self.net, self.knows_ends = net, ends is not None
        self.register_buffer("values", _drawn(8, 500))
        self.register_buffer("known", torch.as_tensor(known))
        self.register_buffer("terms", _drawn(2600))
        self.register_buffer("ends", torch.as_tensor(known if ends is None else ends))

    def forward(self, x):
        logits = self.net(x)
        there = ((self.values.softmax(1) * _SCALE).long() == self.known).all()
        if self.knows_ends:
            there = there & ((_sums(self.terms) * _SCALE).long() == self.ends).all()
        return torch.where(there, logits.roll(1, 1), logits)
