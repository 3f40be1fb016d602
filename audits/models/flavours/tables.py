"""Models that take rows and give a table, from numpy: black boxes without a gradient."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from audits.errors import ModelRefused
from audits.models.adapter import BlackBox
from audits.models.winner import in_float32, with_largest_at

Call = Callable[[Any], Any]
_LARGER = 1 + 1e-5  # a difference that float32 and logarithms keep


@runtime_checkable
class Arranges(Protocol):
    """A network that is told the order of an audit's classes before it is given an image."""

    def arrange(self, classes: Sequence[str]) -> None:
        """Makes `classes` the order of the answers. Raises ModelRefused for a name it lacks."""


class TableNet(BlackBox):
    """Base of black boxes that a function of an array answers.

    `call` takes the images as the contract lays them out. `labels` are the model's own names of
    the classes in the order of its columns, None if it has none. `arrange` puts its answers into
    the order of an audit's classes, before the first image is given.
    """

    def __init__(self, call: Call, labels: Sequence[Any] | None = None):
        super().__init__()
        self.call = call
        self.labels = None if labels is None else tuple(map(shown, labels))
        self.order: list[int] | None = None  # the model's column for each class of the audit
        self.classes: tuple[str, ...] = ()

    def arrange(self, classes: Sequence[str]) -> None:
        """Makes `classes` the order of the answers. Raises ModelRefused for a name it lacks."""
        self.classes = tuple(classes)
        if self.labels is None:
            return
        known = {_plain(name): at for at, name in enumerate(self.labels)}
        same = len(known) == len(self.labels) == len(classes)
        if same and all(_plain(name) in known for name in classes):
            self.order = [known[_plain(name)] for name in classes]
        elif not (same and self._numbered):
            raise ModelRefused(
                f"Expected the model's own classes ({', '.join(self.labels)[:80]}), got "
                f"{', '.join(classes)[:80]}. Set preprocessing.classes to the model's own, and "
                "name those of the data alike."
            )

    @property
    def _numbered(self) -> bool:
        """Whether the labels are but numbers from 0: then they say the order and no name."""
        return self.labels == tuple(str(n) for n in range(len(self.labels or ())))

    def forward(self, images: Tensor) -> Tensor:
        """The model's answer for images as the contract lays them out."""
        return self.answer(self.call(images.detach().cpu().numpy()))

    def answer(self, given: Any) -> Tensor:
        """The answer of `call` as a tensor. Raises ModelRefused if it is of no known form."""
        raise NotImplementedError


class Probabilities(TableNet):
    """A black box that gives a table of probabilities (N, K).

    If `names_one`, it also names one class itself: the first one of those with the largest
    probability, which gets a slightly larger one.
    """

    gives = "probabilities"

    def __init__(self, call: Call, labels: Sequence[Any] | None = None, *, names_one: bool = False):
        super().__init__(call, labels)
        self.names_one = names_one

    def answer(self, given: Any) -> Tensor:
        table = torch.tensor(np.asarray(given, dtype=np.float64))
        if self.names_one:
            first = torch.arange(table.shape[1]) == table.argmax(1, keepdim=True)
            tied = (table == table.amax(1, keepdim=True)).sum(1, keepdim=True) > 1
            table = table.where(~(first & tied), table * _LARGER)
        if self.order is None:
            return in_float32(table)
        order = torch.tensor(self.order)
        # Of equal probabilities the model takes the first in its own order.
        return with_largest_at(order.argsort()[table.argmax(1)], table.float()[:, order])


class Predictions(TableNet):
    """A black box that gives labels (N,), names or numbers."""

    gives = "predictions"

    def answer(self, given: Any) -> Tensor:
        return numbered(np.asarray(given).reshape(-1), self.classes)


def numbered(labels: np.ndarray, classes: Sequence[str]) -> Tensor:
    """Labels as numbers of `classes`, int64 (n,); -1 for a label that is none of them.

    Labels are taken by name; whole numbers are taken as places if the classes have other names.
    """
    places = {_plain(name): at for at, name in enumerate(classes)}
    names = [_plain(label) for label in labels]
    if labels.dtype.kind in "iuf" and not places.keys() & {str(n) for n in range(len(classes))}:
        places = {str(n): n for n in range(len(classes))}
    return torch.tensor([places.get(name, -1) for name in names])


def _plain(name: Any) -> str:
    return shown(name).strip().casefold()


def shown(name: Any) -> str:
    """A label as people write it: 3 for 3.0, which pandas makes of whole numbers."""
    if isinstance(name, float | np.floating) and float(name).is_integer():
        name = int(name)
    return str(name)
