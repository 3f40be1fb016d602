"""SpotChecks: rows of the batches that a network is asked are asked again, each alone."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks.batches import changed

_ROWS = 4  # of a batch
_ALIKE = 0.9  # the least cosine of two gradients of one image
# In reduced precision: answers in another batch may differ by this share of the largest value.
_REDUCED_SHARE, _REDUCED_ALIKE = 0.25, 0.5


class RowsTouch(Exception):
    """A network's answer or gradient for an image is another one in a batch than alone."""


@dataclass(frozen=True)
class Asked:
    """A batch that a network was asked: its inputs (N, ...) and logits (N, K).

    `share` of the largest logit is what answers may differ by for rounding. A network of `reduced`
    precision may differ by more.
    """

    ask: Callable[[Tensor], Tensor]
    inputs: Tensor
    logits: Tensor
    share: float
    reduced: bool = False


class SpotChecks:
    """Compares answers and gradients that a network gives in batches with those of rows alone.

    Looked at are the first batch of each size, and the k-th one of a size with probability 1/k.
    Four rows of it are drawn by the operating system, so that no network can foresee them. Nothing
    is looked at outside of `active()`.
    """

    def __init__(self) -> None:
        self._seen: Counter[int] | None = None
        self._only_classes = False
        self._random = random.SystemRandom()

    @contextmanager
    def active(self, *, only_classes: bool = False) -> Iterator[None]:
        """Looks at batches inside; no batch has been seen before.

        With `only_classes` logits have no meaning but which is the largest; since two may be nearly
        equal, half of the rows may be answered otherwise.
        """
        self._seen, self._only_classes = Counter(), only_classes
        try:
            yield
        finally:
            self._seen = None

    def draws(self, inputs: Tensor) -> bool:
        """Whether the batch `inputs` (N, ...) is to be looked at. Each batch is told here once."""
        if self._seen is None or len(inputs) < 2:
            return False
        if inputs.is_cuda and torch.cuda.is_current_stream_capturing():
            return False  # a CUDA graph holds no comparison; the batch before it was looked at
        self._seen[len(inputs)] += 1
        return self._random.random() * self._seen[len(inputs)] < 1

    def look(self, asked: Asked) -> None:
        """Looks at a batch now, and at the first gradient that is taken at its inputs later.

        Raises RowsTouch.
        """
        count = len(asked.inputs)
        rows = self._random.sample(range(count), min(_ROWS, count))
        self._expect_same_logits(asked, rows)
        if asked.logits.requires_grad and asked.inputs.requires_grad:
            _Gradient(asked, rows).watch()

    def _expect_same_logits(self, asked: Asked, rows: list[int]) -> None:
        given = asked.logits.detach()[rows]
        with torch.no_grad():
            alone = torch.cat([asked.ask(row) for row in asked.inputs.detach()[rows].split(1)])
        share = _REDUCED_SHARE if asked.reduced else asked.share
        finite = alone[alone.isfinite().all(1)]
        largest = float(finite.abs().max().clamp(min=1)) if len(finite) else 1.0
        others = changed(
            alone,
            given,
            torch.arange(len(rows), device=alone.device),
            share * largest,
            only_classes=self._only_classes,
            share=share,
        )
        if others > (len(rows) // 2 if self._only_classes else 0):
            raise _touching("logits", others, rows, asked)


class _Gradient:
    """Compares the first gradient at the inputs of a batch with that of each of its rows alone."""

    def __init__(self, asked: Asked, rows: list[int]):
        self._asked, self._rows = asked, rows
        self._sent: Tensor | None = None  # the gradient of the loss at the logits of the rows
        self._compared = False
        self._kind = asked.inputs.device.type
        self._autocast = torch.is_autocast_enabled(self._kind)

    def watch(self) -> None:
        """Has autograd tell what it sends to the logits and what arrives at the inputs."""
        self._inputs = self._asked.inputs.detach()[self._rows].clone()
        self._asked.logits.register_hook(self._keep)
        self._asked.inputs.register_hook(self._compare)

    def _keep(self, gradient: Tensor) -> None:
        if self._sent is None:
            self._sent = gradient.detach()[self._rows].clone()

    def _compare(self, gradient: Tensor) -> None:
        if self._compared or self._sent is None:
            return
        self._compared = True
        given = gradient.detach()[self._rows].flatten(1)
        alone = torch.cat([self._alone(i) for i in range(len(self._rows))]).flatten(1)
        least = _REDUCED_ALIKE if self._asked.reduced else _ALIKE
        likeness = functional.cosine_similarity(given.double(), alone.double())
        nothing = ~given.any(1) & ~alone.any(1)
        apart = int((~(likeness >= least) & ~nothing).sum())
        # A value that is nearly 0 before a ReLU may turn one of them by rounding.
        if apart * 2 > len(self._rows):
            raise _touching("gradient", apart, self._rows, self._asked)

    def _alone(self, row: int) -> Tensor:
        assert self._sent is not None
        with torch.enable_grad(), torch.autocast(self._kind, torch.bfloat16, self._autocast):
            inputs = self._inputs[row : row + 1].clone().requires_grad_()
            logits = self._asked.ask(inputs)
        sent = self._sent[row : row + 1].to(logits.dtype)
        (found,) = torch.autograd.grad(logits, inputs, sent, allow_unused=True)
        return torch.zeros_like(inputs) if found is None else found


def _touching(what: str, others: int, rows: list[int], asked: Asked) -> RowsTouch:
    return RowsTouch(
        f"Expected the same {what} for an image alone and in a batch of {len(asked.inputs)}, got "
        f"another one for {others} of {len(rows)} images. Take out of the network whatever looks "
        "at the size of the batch or at its other rows."
    )
