"""A pass recorded as a CUDA graph: its kernels are launched together, from one call."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from fillblanks.engine.step import Step

_WARM_UPS = 3


class CapturedPass:
    """`step` of masked images (N, C, H, W) and labels (N,), recorded once, for that N.

    `step` must launch the same kernels whatever the values are.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], Step], masked: Tensor, labels: Tensor):
        self._masked, self._labels = masked.clone(), labels.clone()
        # Libraries choose and set up their kernels in the first passes, which cannot be recorded.
        side = _side(torch.cuda.current_device())
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                step(self._masked, self._labels)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=side):
            self._step = step(self._masked, self._labels)

    def __call__(self, masked: Tensor, labels: Tensor) -> Step:
        self._masked.copy_(masked)
        self._labels.copy_(labels)
        self._graph.replay()
        return Step(*(values.clone() for values in self._step))


@cache
def _side(_device: int) -> torch.cuda.Stream:
    """The stream of all records on a GPU: cuBLAS keeps memory for each stream that it has met."""
    return torch.cuda.Stream()
