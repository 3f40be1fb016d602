"""Attacks: a fill of a blank that changes a network's answer, sought from above.

A break that is found is a fact, since the network has answered. That none is found proves nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from fillblanks.classifier import Classifier, predicted_class
from fillblanks.masks import keys

_DRAW = -(1 << 40)  # draws of masks use keys 0, 1, ..., those of checks small negative numbers
_FIRST_STEP, _LAST_STEP = 0.3, 0.03  # of PGD, as a share of the range of a pixel
_REDRAWN = (0.5, 0.1)  # share of the blank's pixels that random search redraws, first and last


@dataclass(frozen=True)
class Cases:
    """n images (n, C, H, W) in [0, 1], each with a blank, bool (n, 1, H, W), and an answer (n,).

    `answers` are the classes that should stay, int64. `indices` and `numbers`, int64 (n,), are the
    image's index and the number of its blank: random fills are a pure function of them, the seed
    and the number of the try.
    """

    images: Tensor
    blanks: Tensor
    answers: Tensor
    indices: Tensor
    numbers: Tensor
    seed: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, which: Tensor) -> "Cases":
        """Some of the cases."""
        return self._each(lambda field: field[which])

    def on(self, device: torch.device) -> "Cases":
        """The cases on another device."""
        return self._each(lambda field: field.to(device))

    def _each(self, changed: Callable[[Tensor], Tensor]) -> "Cases":
        return Cases(
            changed(self.images),
            changed(self.blanks),
            changed(self.answers),
            changed(self.indices),
            changed(self.numbers),
            self.seed,
        )

    def filled(self, fills: Tensor) -> Tensor:
        """The images with pixels of `fills` (n, C, H, W) in their blanks."""
        return torch.where(self.blanks, fills, self.images)


class Worst(NamedTuple):
    """The fill of each case that came closest to another answer, as a whole image.

    `margins`, float64 (n,), are the logits of the answers minus the largest other ones; `read`,
    int64 (n,), are the classes that the network then names. The answer of a case is broken if
    `read` is not its answer; -1 is no class, if a logit is not finite.
    """

    images: Tensor
    margins: Tensor
    read: Tensor


def pgd(
    classifier: Classifier,
    cases: Cases,
    *,
    steps: int = 20,
    restarts: int = 4,
    start: Worst | None = None,
    chunk: int = 64,
) -> Worst:
    """The worst fills found by projected gradient descent (Madry et al. 2018, arXiv 1706.06083).

    The sign of the margin's gradient is followed inside the blank, from `start`, by default the
    image itself, and then from random fills. Nothing better than `start` is given back. It takes
    `restarts` x (`steps` + 1) passes a case, all but one of a restart with a gradient.
    """

    def one(some: Cases, best: Worst) -> Worst:
        first = best.images
        for restart in range(restarts):
            fills = first if restart == 0 else _random(some, -1 - restart)
            for step in range(steps + 1):
                with torch.enable_grad():
                    given = some.filled(fills).requires_grad_()
                    logits = classifier(given)
                    margins = margins_of(logits, some.answers)
                    best = _worse(best, some, given.detach(), logits.detach())
                    if step == steps:
                        break
                    (slope,) = torch.autograd.grad(margins.sum(), given)
                size = _FIRST_STEP + (_LAST_STEP - _FIRST_STEP) * step / max(steps - 1, 1)
                fills = (given.detach() - size * slope.sign()).clamp(0, 1)
        return best

    return _in_chunks(classifier, cases, one, chunk, start)


def random_search(
    classifier: Classifier,
    cases: Cases,
    *,
    tries: int,
    start: Worst | None = None,
    chunk: int = 64,
) -> Worst:
    """The worst fills found without a gradient: the worst one, partly redrawn at random.

    A redrawn fill is kept if its margin is smaller. Of a network that gives classes alone all
    margins are equal until the answer is broken. `start` is as in `pgd`.
    """

    def one(some: Cases, best: Worst) -> Worst:
        for number in range(tries):
            share = _REDRAWN[0] + (_REDRAWN[1] - _REDRAWN[0]) * number / tries
            kept = _uniform(some, number, again=1)[:, :1] >= share
            fills = torch.where(kept, best.images, _random(some, number, again=2))
            given = some.filled(fills)
            best = _worse(best, some, given, classifier(given))
        return best

    with torch.no_grad():
        return _in_chunks(classifier, cases, one, chunk, start)


def random_fills(classifier: Classifier, cases: Cases, *, tries: int, chunk: int = 64) -> Worst:
    """The worst of `tries` random fills of each case: the null of an attack.

    In turn they are noise of all greys, noise of black and white, and one random colour.
    """

    def one(some: Cases, best: Worst) -> Worst:
        for number in range(tries):
            given = some.filled(_random(some, number))
            best = _worse(best, some, given, classifier(given))
        return best

    with torch.no_grad():
        return _in_chunks(classifier, cases, one, chunk)


def margins_of(logits: Tensor, answers: Tensor) -> Tensor:
    """The logit of each answer minus the largest other one, float64 (n,); `logits` are (n, K)."""
    own = torch.nn.functional.one_hot(answers, logits.shape[1]).bool()
    values = logits.double()
    return values[own] - values.masked_fill(own, -torch.inf).amax(1)


def _in_chunks(
    classifier: Classifier,
    cases: Cases,
    one: Callable[[Cases, Worst], Worst],
    chunk: int,
    start: Worst | None = None,
) -> Worst:
    start = start or _nothing(cases)
    found = []
    with classifier.steady():
        for rows in torch.arange(len(cases)).split(chunk):
            some = cases.rows(rows).on(classifier.device)
            given = replace(some, images=classifier.to_device(some.images))
            before = Worst(*(column[rows].to(classifier.device) for column in start))
            found.append(one(given, before._replace(images=before.images.to(given.images))))
    return Worst(*(torch.cat(column).cpu() for column in zip(*found, strict=True)))


def _nothing(cases: Cases) -> Worst:
    margins = torch.full((len(cases),), torch.inf, dtype=torch.float64)
    return Worst(cases.images, margins, cases.answers)


def _worse(best: Worst, cases: Cases, given: Tensor, logits: Tensor) -> Worst:
    """The worse one of two fills of each case; one that breaks the answer is worse than others."""
    read = predicted_class(logits)
    margins = margins_of(logits, cases.answers)
    margins = torch.where(read == -1, -torch.inf, margins)
    broken, before = read != cases.answers, best.read != cases.answers
    better = torch.where(broken == before, margins < best.margins, broken)
    return Worst(
        torch.where(better[:, None, None, None], given, best.images),
        torch.where(better, margins, best.margins),
        torch.where(better, read, best.read),
    )


def _random(cases: Cases, number: int, again: int = 0) -> Tensor:
    """Random fills of one try, (n, C, H, W)."""
    uniform = _uniform(cases, number, again)
    if number % 3 == 0:
        return uniform
    if number % 3 == 1:
        return (uniform >= 0.5).to(uniform.dtype)
    return uniform[:, :, :1, :1].expand_as(uniform)


def _uniform(cases: Cases, number: int, again: int = 0) -> Tensor:
    """Uniform values in [0, 1], a pure function of seed, image, blank and try."""
    count = cases.images[0].numel()
    draws = _DRAW + (cases.numbers << 24) + 4 * number + again
    drawn = keys(cases.seed, cases.indices, draws, count) & 0xFFFFFF
    return (drawn.to(cases.images.dtype) / 0xFFFFFF).clamp(0, 1).view_as(cases.images)
