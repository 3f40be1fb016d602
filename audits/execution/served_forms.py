"""Whether a model answers alike in whatever form its input arrives, and on whatever server.

Servers compute (pixel - mean) / std by other formulas, resize images as floats, and hand over a row
of a larger batch or an array with channels last. They ask many images at once, with other numbers
of threads. A network may look at any of it, and be another one for its users than for an audit.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audits.errors import Contradicted, shortened
from audits.execution import pixel_forms
from audits.execution.server_settings import large_batches, settings
from audits.models.adapter import NETWORK_ERRORS
from fillblanks import Classifier
from fillblanks.batches import changed
from fillblanks.memory import is_short, with_fewer_rows
from fillblanks.state import Changed

_IMAGES, _AT_ONCE = 16, 4
_AT_ONCE_IF_QUICK = 16
_QUICK = 0.1  # seconds for 16 images, up to which each form is asked for all of them
_FEW, _FEW_OF_BOXES, _FEW_BETWEEN = 2, 4, 8  # images a form, for another network
_NEAR = 1e-5  # of a whole level, for images that were stored with 8 bits
_OTHER_CLASSES = 2  # images whose class may change by rounding, if answers stand for a class alone
_LONGEST = 120  # characters of an error
_HALVES = (torch.float16, torch.bfloat16)
_MOVED = 1 / 4  # the share of images whose class half a level may change

Norm = tuple[Sequence[float], Sequence[float]]


def expect_same_answers(
    classifier: Classifier,
    images: Tensor,
    *,
    only_classes: bool,
    norm: Norm | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Asks up to 16 of `images` (N, C, H, W) in [0, 1] in several forms.

    `norm` are mean and std of pixels in [0, 1] as servers know them, by default those of the
    classifier, which are rounded to its dtype. `dtype` is that of the inputs that the network gets
    from servers, by default the classifier's. Raises Contradicted if more images than rounding
    explains are answered otherwise, or if the network changes, and whatever it raises for images.
    Only with channels last, in large batches and on other settings it may raise an error: its users
    would see it. In another form an error is a contradiction, if the images are still answered.
    """
    try:
        with classifier.steady(), torch.no_grad():
            dtype = dtype or classifier.dtype
            asking = _Asking.of(classifier, images[:_IMAGES], only_classes, dtype)
            try:
                asking.ask_all(norm)
            except NETWORK_ERRORS as error:
                if is_short(error) or isinstance(error, Contradicted):
                    raise
                asking.ask_again(error)
    except Changed as error:
        raise Contradicted(str(error)) from error


@dataclass(frozen=True)
class _Asking:
    """A classifier with images, its inputs for them and its answers, asked as the audit asks."""

    classifier: Classifier
    images: Tensor
    inputs: Tensor
    usual: Tensor
    only_classes: bool
    seconds: float  # that the answers took
    dtype: torch.dtype  # of inputs as servers give them

    @classmethod
    def of(
        cls, classifier: Classifier, images: Tensor, only_classes: bool, dtype: torch.dtype
    ) -> "_Asking":
        images = classifier.to_device(images)
        inputs = classifier.normalised(images)
        _answers(classifier, inputs[:_AT_ONCE])  # the first call may prepare more than the others
        started = time.perf_counter()
        usual = _answers(classifier, inputs)
        usual.sum().item()  # a GPU is ready then
        seconds = time.perf_counter() - started
        return cls(classifier, images, inputs, usual, only_classes, seconds, dtype)

    @property
    def is_quick(self) -> bool:
        return self.seconds <= _QUICK

    @property
    def few(self) -> int:
        """The number of images of one form."""
        if self.is_quick:
            return len(self.images)
        return min(_FEW_OF_BOXES if self.only_classes else _FEW, len(self.images))

    @property
    def _few_of_settings(self) -> int:
        """Classes alone tell little of a box, and a quick one can be asked for all images."""
        if self.only_classes:
            return len(self.images) if self.is_quick else _FEW_OF_BOXES
        return _FEW

    @property
    def _widest(self) -> torch.dtype:
        """The wider one of the dtypes in which the audit and servers give inputs."""
        return torch.promote_types(self.inputs.dtype, self.dtype)

    def ask_again(self, error: Exception) -> None:
        """Raises what is raised now; otherwise Contradicted, since another form raised an error."""
        self._answers(self.inputs)
        told = shortened(f"{type(error).__name__}: {error}", _LONGEST)
        raise Contradicted(
            "Expected a model that answers in whatever form images arrive, got answers and, in "
            f"another form, {told}. Take out of the network whatever looks at the bits, the number "
            "or the memory of its inputs."
        ) from error

    def ask_all(self, norm: Norm | None) -> None:
        for form, which, inputs in self._forms(norm):
            self._expect_same(self._answers(inputs), form, which)
        self._ask_between_levels()
        self._expect_same(self._rows(), "as rows of a larger batch", range(self.few))
        self._ask_channels_last()
        some = range(min(self._few_of_settings, len(self.images)))
        for form, inside in settings(self.classifier.net, many=self.is_quick):
            with inside:
                self._ask_tolerantly(self.inputs[: len(some)], form, some)
        for rows, found in large_batches(self.classifier.net, self.inputs, self.seconds):
            which = [row % len(self.inputs) for row in range(rows)]
            self._expect_same(found, f"in a batch of {rows:,}", which)

    def _forms(self, norm: Norm | None) -> Iterator[tuple[str, Sequence[int], Tensor]]:
        """Inputs with other last bits, and which images they are of."""
        mean, std = norm or (
            [float(value) for value in one.flatten()]
            for one in (self.classifier.mean, self.classifier.std)
        )
        levels = self.images * pixel_forms.LEVELS
        on_levels = bool((levels - levels.round()).abs().max() < _NEAR * pixel_forms.LEVELS)
        levels = (levels.round() if on_levels else levels).float().cpu()
        count, at = len(self.images), 0
        for formula in pixel_forms.formulas(mean, std, self.dtype):
            which = [(at + i) % count for i in range(self.few)]
            at += self.few
            yield (
                "with pixels scaled by another formula",
                which,
                formula(levels[which]).to(self.inputs.device, self._widest),
            )
        some, inputs = range(self.few), self.inputs[: self.few].to(self._widest)
        if on_levels:
            levels = levels[: self.few].to(self.inputs)
            other = pixel_forms.of_levels(inputs, levels, self.dtype)
            yield "with other last bits for each level", some, other
        other = pixel_forms.of_pixels(inputs, self.dtype)
        yield "with other last bits", some, other

    def _ask_between_levels(self) -> None:
        """Pixels that 8 bits cannot tell. Half a level may change a few classes, and any logit."""
        few = len(self.images) if self.is_quick else min(_FEW_BETWEEN, len(self.images))
        some = self.images[:few]
        form = "with pixels between the levels of 8 bits"
        found = self._of_images(pixel_forms.of_more_bits(some))
        self._expect_same(found, form, range(few), moved=_MOVED)
        for name, steps in pixel_forms.lattices(all_of_them=self.is_quick).items():
            on = pixel_forms.on_lattice(some[: self.few].double(), steps)
            off = pixel_forms.beside(on, steps)
            found, usual = (self._of_images(one.to(some)) for one in (on, off))
            self._expect_same(found, f"with pixels {name}", range(self.few), usual, _MOVED)
        resized = pixel_forms.resized(some.float()).to(some)
        found, usual = map(self._of_images, (resized, pixel_forms.rounded(resized)))
        self._expect_same(found, "resized as floats", range(few), usual, _MOVED)
        halves = [row.to(_HALVES[i % 2]).to(self.inputs) for i, row in enumerate(self.inputs[:few])]
        found = self._answers(torch.stack(halves))
        self._expect_same(found, "rounded to half precision", range(few), moved=_MOVED)

    def _of_images(self, images: Tensor) -> Tensor:
        return self._answers(self.classifier.normalised(images))

    def _rows(self) -> Tensor:
        """Logits (n, K) of rows of a larger batch, each of which begins behind another one."""
        behind = torch.cat([self.inputs[-1:], self.inputs])[: self.few + 1]
        net = self.classifier.net
        return torch.cat([net(behind[n : n + 1]) for n in range(1, len(behind))])

    def _ask_channels_last(self) -> None:
        some = self.inputs[: self.few]
        last = some.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        self._ask_tolerantly(last, "with channels last", range(self.few))

    def _ask_tolerantly(self, inputs: Tensor, form: str, which: Sequence[int]) -> None:
        """As `_expect_same`, but the network may raise an error."""
        try:
            found = self._answers(inputs)
        except NETWORK_ERRORS as error:
            if is_short(error):
                raise
            return
        self._expect_same(found, form, which)

    def _answers(self, inputs: Tensor) -> Tensor:
        return _answers(self.classifier, inputs, _AT_ONCE_IF_QUICK if self.is_quick else _AT_ONCE)

    def _expect_same(
        self,
        found: Tensor,
        form: str,
        which: Sequence[int],
        usual: Tensor | None = None,
        moved: float | None = None,
    ) -> None:
        """Raises Contradicted if row i of `found` is not the answer to the image `which[i]`.

        Answers are compared with `usual`, by default those to the images as the audit asks them. If
        a share of the images may be `moved` to another class, classes alone are compared.
        """
        usual = self.usual if usual is None else usual
        asked = sorted(set(which))
        place = {image: row for row, image in enumerate(asked)}
        rows = torch.tensor([place[image] for image in which], device=usual.device)
        only_classes = self.only_classes or moved is not None
        renamed = _OTHER_CLASSES / len(asked) if moved is None else moved
        others = changed(
            usual[asked],
            found,
            rows,
            self.classifier.rounding,
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
        return torch.cat([classifier.net(batch) for batch in inputs.split(size)])

    return with_fewer_rows(run, rows)
