"""Asking a model a few images in another form, and comparing its answers with the usual ones."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from audits.errors import AuditError, Contradicted, shortened
from audits.execution.memory_places import Place, given_from
from audits.models.adapter import NETWORK_ERRORS
from fillblanks import Classifier
from fillblanks.batches import Rounding, changed
from fillblanks.memory import is_short, with_fewer_rows
from fillblanks.precision import OF_8_BITS, REDUCED
from fillblanks.state import Changed

_AT_ONCE = 4
_AT_ONCE_IF_QUICK = 16
_QUICK = 0.1  # seconds for 16 images, up to which each form is asked for all of them
_FEW, _FEW_OF_BOXES = 2, 4  # images a form, for another network
_SEVERAL = 8  # images a form in which some classes may change, for another network
_OTHER_CLASSES = 2  # images whose class may change by rounding, if answers stand for a class alone
_SOME = 4  # images, of which a drawn number is asked at once; fewer are asked alone or together
_LONGEST = 120  # characters of an error
_FAST = 0.005  # seconds for 16 images, up to which a quarter of them or most are asked alone
_CHANCE = random.SystemRandom()  # nobody can foresee it


@contextmanager
def steadily(classifier: Classifier) -> Iterator[None]:
    """Asks without gradients inside. Raises Contradicted if the network changes."""
    try:
        with classifier.steady(), torch.no_grad():
            yield
    except Changed as error:
        raise Contradicted(str(error)) from error


@dataclass(frozen=True)
class Asking:
    """A classifier with images, its inputs for them and its answers, asked as the audit asks."""

    classifier: Classifier
    images: Tensor
    kept: Tensor
    usual: Tensor
    only_classes: bool
    seconds: float  # that the answers took
    dtype: torch.dtype  # of inputs as servers give them
    places: dict[str, Place] = field(default_factory=dict)  # in memory, where it has answered

    @classmethod
    def of(
        cls, classifier: Classifier, images: Tensor, only_classes: bool, dtype: torch.dtype
    ) -> Self:
        """Asks for the usual answers to `images` (N, C, H, W) in [0, 1]."""
        images = classifier.to_device(images)
        inputs = classifier.normalised(images)
        _answers(classifier, inputs[:_AT_ONCE].clone())  # the first call may prepare more
        started = time.perf_counter()
        usual = _answers(classifier, inputs.clone())
        usual.sum().item()  # a GPU is ready then
        seconds = time.perf_counter() - started
        return cls(classifier, images, inputs, usual, only_classes, seconds, dtype)

    @property
    def inputs(self) -> Tensor:
        """Normalised images (n, C, H, W), a copy each time: a network may write into its own."""
        return self.kept.clone()

    @property
    def rounding(self) -> Rounding:
        """By how much answers may differ. Dynamic steps of 8 bits may be those of the batch."""
        own = self.classifier.rounding
        return REDUCED if own.step >= OF_8_BITS else own

    @property
    def is_quick(self) -> bool:
        """Whether each form can be asked for all images."""
        return self.seconds <= _QUICK

    @property
    def few(self) -> int:
        """The number of images of one form."""
        if self.is_quick:
            return len(self.images)
        return min(_FEW_OF_BOXES if self.only_classes else _FEW, len(self.images))

    @property
    def several(self) -> int:
        """The number of images of a form in which a share of the classes may change."""
        return len(self.images) if self.is_quick else min(_SEVERAL, len(self.images))

    @property
    def few_of_settings(self) -> int:
        """The number of images of one setting of the server, one of them alone."""
        return len(self.images) if self.is_quick else min(_SOME, len(self.images))

    def answers(self, inputs: Tensor, place: Place | None = None) -> Tensor:
        """Logits (n, K) of normalised inputs (n, C, H, W).

        They are asked in batches of drawn sizes, some of them alone, at a `place` in memory, or at
        drawn ones.
        """
        rows, found = _AT_ONCE_IF_QUICK if self.is_quick else _AT_ONCE, []
        for some in inputs.split(self._sizes(len(inputs))):
            with self.anywhere() if place is None else given_from(self.classifier.net, place):
                found.append(_answers(self.classifier, some, min(rows, len(some))))
        return torch.cat(found)

    def _sizes(self, count: int) -> list[int]:
        """Drawn numbers of images that are asked at once: some alone, the others in two batches."""
        if count < _SOME:
            return _CHANCE.choice([[count], [1] * count])
        alone = 1
        if self.seconds <= _FAST:
            alone = _CHANCE.choice([count // 4, count // 4, count - 2])
        rest = count - alone
        first = _CHANCE.randint(2, rest - 2) if rest >= 4 else rest
        sizes = [1] * alone + [size for size in (first, rest - first) if size]
        return _CHANCE.sample(sizes, len(sizes))

    def anywhere(self) -> AbstractContextManager[None]:
        """A context in which inputs lie as usual in half of all draws, and elsewhere otherwise."""
        if not self.places or _CHANCE.random() < 1 / 2:
            return nullcontext()
        return given_from(self.classifier.net, _CHANCE.choice([*self.places.values()]))

    def of_images(self, images: Tensor) -> Tensor:
        """Logits (n, K) of images (n, C, H, W) in [0, 1]."""
        return self.answers(self.classifier.normalised(images.to(self.images)))

    def ask_again(self, error: Exception) -> None:
        """Raises what is raised now; otherwise Contradicted, since another form raised an error."""
        _answers(self.classifier, self.inputs)
        told = shortened(f"{type(error).__name__}: {error}", _LONGEST)
        raise Contradicted(
            "Expected a model that answers in whatever form images arrive, got answers and, in "
            f"another form, {told}. Take out of the network whatever looks at the bits, the number "
            "or the memory of its inputs."
        ) from error

    def ask_tolerantly(
        self,
        inputs: Tensor,
        form: str,
        which: Sequence[int],
        moved: float | None = None,
        place: Place | None = None,
    ) -> bool:
        """As `expect_same`, but the network may raise an error; returns whether it has answered."""
        try:
            found = self.answers(inputs, place)
        except AuditError:  # of our own looks: a server answers there
            raise
        except NETWORK_ERRORS as error:
            if is_short(error):
                raise
            return False
        self.expect_same(found, form, which, moved=moved)
        return True

    def expect_same(
        self,
        found: Tensor,
        form: str,
        which: Sequence[int],
        usual: Tensor | None = None,
        moved: float | None = None,
        rounding: Rounding | None = None,
    ) -> None:
        """Raises Contradicted if row i of `found` is not the answer to the image `which[i]`.

        Answers are compared with `usual`, by default those to the images as the audit asks them. If
        a share of the images may be `moved` to another class, classes alone are compared. They may
        differ by `rounding`, by default that of the classifier in batches of any size.
        """
        usual = self.usual if usual is None else usual
        asked = sorted(set(which))
        place = {image: row for row, image in enumerate(asked)}
        rows = torch.tensor([place[image] for image in which], device=usual.device)
        only_classes = self.only_classes or moved is not None
        renamed = _OTHER_CLASSES / len(asked) if moved is None else moved
        others = changed(
            usual[asked],
            found.to(usual),
            rows,
            rounding or self.rounding,
            only_classes=only_classes,
            renamed=min(renamed, 1 / 2) if only_classes else 1 / 8,
            among=usual,
        )
        if others:
            raise Contradicted(
                "Expected a model that answers alike in whatever form images arrive, got other "
                f"answers to {others} of {len(asked)} images {form}. Take out of the network "
                "whatever looks at the bits, the number or the memory of its inputs, or at the "
                "machine."
            )


def _answers(classifier: Classifier, inputs: Tensor, rows: int = _AT_ONCE) -> Tensor:
    """Logits (n, K), from batches of `rows` or, if memory is short, of less."""

    def run(size: int) -> Tensor:
        return torch.cat([classifier.net(batch).detach() for batch in inputs.split(size)])

    return with_fewer_rows(run, rows)
