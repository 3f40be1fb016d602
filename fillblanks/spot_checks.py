"""SpotChecks: rows of the batches that a network is asked are asked again, each alone."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fillblanks.batches import Rounding, changed
from fillblanks.memory import is_short
from fillblanks.precision import OF_8_BITS, REDUCED

_CHANCE = random.SystemRandom()  # here, since no copy can be made of it
_ROWS = 16  # of a batch
_ROWS_OF_GRADIENTS = 4  # of a batch whose gradient is looked at too
_ROWS_OF_STEPS = 8  # of a batch, if the network has steps of 8 bits, which may be the batch's
_SHARE = 1 / 32  # of batches of a size, at least
_ALIKE = 0.9  # the least cosine of two gradients of one image
_NOTHING = 100 * torch.finfo(torch.float32).tiny  # the norm of a gradient that is none
_RENAMED = 0.25  # the share of rows whose class may be another one, if two logits are nearly equal
_REDUCED_ALIKE, _REDUCED_RENAMED = 0.5, 0.5
# Of predicted classes alone: how many may differ in a batch, and in all batches together.
_FEW_CLASSES, _SHARE_OF_CLASSES = 2, 1 / 4
_FEW_IN_ALL, _SHARE_IN_ALL = 3, 1 / 16
_LONGEST = 120  # characters of an error


class RowsTouch(Exception):
    """A network's answer or gradient for an image is another one in a batch than alone, or none."""


@dataclass(frozen=True)
class Asked:
    """A batch of inputs (N, ...) that a network is to be asked by `ask`, which gives logits (N, K).

    Its answers may differ by `rounding`, or by more if it is of `reduced` precision.
    """

    ask: Callable[[Tensor], Tensor]
    inputs: Tensor
    rounding: Rounding
    reduced: bool = False


class SpotChecks:
    """Compares answers and gradients that a network gives in batches with those of rows alone.

    Looked at are the first batch of each size, and the k-th one of a size with probability 1/k, or
    1/32 if that is more. Some rows of it are drawn by the operating system, so that no network can
    foresee them: 16, or eight if the network has steps of 8 bits, and four if a gradient is wanted.
    Nothing is looked at outside of `active()`.
    """

    def __init__(self) -> None:
        self._seen: Counter[int] | None = None
        self._classes: _OnlyClasses | None = None

    @contextmanager
    def active(self, *, only_classes: bool = False) -> Iterator[None]:
        """Looks at batches inside; no batch has been seen before.

        With `only_classes` logits have no meaning but which is the largest. If two are nearly
        equal, rounding may give another class, and nothing tells that from a lie. So a quarter of
        the rows of a batch may be answered otherwise, or two, but never more than half of them; and
        three and 1/16 of the rows of all batches together. A network that lies more often inside is
        found; one that lies less often moves no share of its images by much more than 1/16.
        """
        self._seen, self._classes = Counter(), _OnlyClasses() if only_classes else None
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
        return _CHANCE.random() < max(1 / self._seen[len(inputs)], _SHARE)

    def look(self, asked: Asked) -> Tensor:
        """The logits (N, K) of a batch, which is looked at now.

        The first gradient that is taken at its inputs later is looked at as well. Raises RowsTouch.
        """
        count = len(asked.inputs)
        rows = _CHANCE.sample(range(count), min(self._most(asked), count))
        # Before the network is asked, which may write into what it is given.
        kept = asked.inputs.detach()[rows].clone()
        gradient = _Gradient(asked, rows, kept) if asked.inputs.requires_grad else None
        logits = asked.ask(asked.inputs)
        self._expect_same_logits(asked, rows, kept, logits.detach())
        if gradient is not None and logits.requires_grad:
            gradient.watch(logits)
        return logits

    def _most(self, asked: Asked) -> int:
        """The number of rows that are asked alone."""
        if asked.inputs.requires_grad:
            return _ROWS_OF_GRADIENTS
        steps = asked.rounding.step >= OF_8_BITS and not self._classes
        return _ROWS_OF_STEPS if steps else _ROWS

    def _expect_same_logits(
        self, asked: Asked, rows: list[int], kept: Tensor, logits: Tensor
    ) -> None:
        with torch.no_grad():
            inputs = asked.inputs.detach()
            alone = torch.cat(
                [
                    _alone(partial(_asked, asked, row), partial(_asked, asked, inputs), asked)
                    for row in kept.split(1)
                ]
            )
        renamed = _REDUCED_RENAMED if asked.reduced else _RENAMED
        others = changed(
            alone,
            logits[rows],
            torch.arange(len(rows), device=alone.device),
            REDUCED if asked.reduced else asked.rounding,
            only_classes=self._classes is not None,
            renamed=0 if self._classes else renamed,
            among=logits,
        )
        if self._classes.too_many(others, len(rows)) if self._classes else others:
            raise _touching("logits", others, rows, asked)


class _OnlyClasses:
    """Counts the rows whose predicted class is another one alone than in their batch."""

    def __init__(self) -> None:
        self._rows = self._others = 0

    def too_many(self, others: int, rows: int) -> bool:
        """Whether `others` of the `rows` of one more batch are more than rounding explains."""
        self._rows += rows
        self._others += others
        here = min(rows / 2, max(_FEW_CLASSES, rows * _SHARE_OF_CLASSES))
        return others > here or self._others > _FEW_IN_ALL + self._rows * _SHARE_IN_ALL


class _Gradient:
    """Compares the first gradient at the inputs of a batch with that of each of its rows alone."""

    def __init__(self, asked: Asked, rows: list[int], kept: Tensor):
        self._asked, self._rows, self._kept = asked, rows, kept
        self._sent: Tensor | None = None  # the gradient of the loss at the logits of the batch
        self._compared = False
        self._kind = asked.inputs.device.type
        self._autocast = torch.is_autocast_enabled(self._kind)
        asked.inputs.register_hook(self._compare)

    def watch(self, logits: Tensor) -> None:
        """Has autograd tell what it sends to the logits, beside what arrives at the inputs."""
        logits.register_hook(self._keep)

    def _keep(self, gradient: Tensor) -> None:
        if self._sent is None:
            self._sent = gradient.detach().clone()

    def _compare(self, gradient: Tensor) -> None:
        if self._compared or self._sent is None:
            return
        self._compared = True
        given = gradient.detach()[self._rows].flatten(1).double()
        alone = torch.cat([self._alone(i) for i in range(len(self._rows))]).flatten(1).double()
        least = _REDUCED_ALIKE if self._asked.reduced else _ALIKE
        norms = torch.stack([given.norm(dim=1), alone.norm(dim=1)])
        # The gradient of a class that is all but certain has any size, down to that of rounding.
        nothing = (norms < _NOTHING).all(0)
        likeness = (given * alone).sum(1) / norms.prod(0)
        apart = ~(likeness >= least) & ~nothing
        # A value that is nearly 0 before a ReLU may turn one of them by rounding. But a single one
        # that is larger than all others is what an average of them shows.
        sizes = norms.amax(0).nan_to_num(math.inf)
        many, large = 2 * int(apart.sum()) > len(apart), sizes[apart].sum() > sizes[~apart].sum()
        if many or (large and len(apart) > 2):
            raise _touching("gradient", int(apart.sum()), self._rows, self._asked)

    def _alone(self, row: int) -> Tensor:
        assert self._sent is not None
        at, inputs = self._rows[row], self._asked.inputs.detach()
        return _alone(
            partial(self._gradient, self._kept[row : row + 1], self._sent[at : at + 1]),
            partial(self._gradient, inputs, self._sent),
            self._asked,
        )

    def _gradient(self, given: Tensor, sent: Tensor) -> Tensor:
        with torch.enable_grad(), torch.autocast(self._kind, torch.bfloat16, self._autocast):
            inputs = given.clone().requires_grad_()
            logits = self._asked.ask(inputs.clone())
        grads = torch.autograd.grad(logits, inputs, sent.to(logits.dtype), allow_unused=True)
        return torch.zeros_like(inputs) if grads[0] is None else grads[0]


def _asked(asked: Asked, inputs: Tensor) -> Tensor:
    """The logits of a copy: the network may write into what it is given."""
    return asked.ask(inputs.clone())


def _alone(
    ask_alone: Callable[[], Tensor], ask_together: Callable[[], Tensor], asked: Asked
) -> Tensor:
    """What `ask_alone` gives for one row of a batch that the network has answered.

    Raises RowsTouch if it raises an error, twice, and `ask_together` still answers the batch: the
    network may not choose when it is looked at. Any other error is raised as it is.
    """
    try:
        return ask_alone()
    except Exception as error:
        if is_short(error) or _answers(ask_alone) or not _answers(ask_together):
            raise
        told = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise RowsTouch(
            f"Expected an answer for an image alone, as in a batch of {len(asked.inputs)}, got "
            f"{told}. Take out of the network whatever looks at the size of the batch."
        ) from error


def _answers(ask: Callable[[], Tensor]) -> bool:
    """Whether `ask` raises no error, such as that of a device that has failed meanwhile."""
    try:
        ask().sum().item()
    except Exception:
        return False
    return True


def _touching(what: str, others: int, rows: list[int], asked: Asked) -> RowsTouch:
    return RowsTouch(
        f"Expected the same {what} for an image alone and in a batch of {len(asked.inputs)}, got "
        f"another one for {others} of {len(rows)} images. Take out of the network whatever looks "
        "at the size of the batch or at its other rows."
    )
