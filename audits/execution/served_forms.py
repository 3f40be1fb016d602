"""Whether a model answers alike in whatever form its input arrives.

Servers compute (pixel - mean) / std by other formulas, whose results differ in their last bits, and
hand over a row of a larger batch or an array with channels last. A network may look at either, and
be another one for its users than for an audit.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from audits.errors import ModelRefused
from audits.models.adapter import NETWORK_ERRORS
from fillblanks import Classifier
from fillblanks.batches import changed
from fillblanks.memory import is_short, with_fewer_rows

_IMAGES, _AT_ONCE = 16, 4
_LEVELS = 255
_NEAR = 1e-5  # of a whole level, for images that were stored with 8 bits
_STEPS = 2  # of a number's last place
_SEED = 0


def expect_same_answers(classifier: Classifier, images: Tensor, *, only_classes: bool) -> None:
    """Asks up to 16 of `images` (N, C, H, W) in [0, 1] in several forms.

    Raises ModelRefused if more of them than rounding explains are answered otherwise, and whatever
    the network raises. With channels last alone it may raise an error, as `view` does: its users
    would see it.
    """
    some = classifier.to_device(images[:_IMAGES])
    inputs = classifier.normalised(some)
    with classifier.steady(), torch.no_grad():
        usual = _answers(classifier, inputs)
        for form, other in _forms(classifier, some, inputs):
            _expect_same(classifier, usual, _answers(classifier, other), form, only_classes)
        _expect_same(
            classifier, usual, _rows(classifier, inputs), "as rows of a larger batch", only_classes
        )
        last = inputs.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        try:
            found = _answers(classifier, last)
        except NETWORK_ERRORS as error:
            if is_short(error):
                raise
            return
        _expect_same(classifier, usual, found, "with channels last", only_classes)


def _forms(classifier: Classifier, images: Tensor, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Inputs with other last bits."""
    levels = (images * _LEVELS).round()
    if (images * _LEVELS - levels).abs().max() < _NEAR * _LEVELS:
        scaled = (levels - _LEVELS * classifier.mean) * (1 / (_LEVELS * classifier.std))
        yield "with pixels scaled by another formula", scaled
    draw = torch.Generator().manual_seed(_SEED)
    steps = torch.randint(-_STEPS, _STEPS + 1, inputs.shape, generator=draw).to(inputs)
    yield "with other last bits", inputs * (1 + steps * torch.finfo(inputs.dtype).eps)


def _answers(classifier: Classifier, inputs: Tensor) -> Tensor:
    """Logits (n, K), from batches of 4 or, if memory is short, of less."""
    return with_fewer_rows(
        lambda size: torch.cat([classifier.net(batch) for batch in inputs.split(size)]), _AT_ONCE
    )


def _rows(classifier: Classifier, inputs: Tensor) -> Tensor:
    """Logits (n, K) of rows of a larger batch, each of which begins behind another one."""
    behind = torch.cat([inputs[-1:], inputs])
    return torch.cat([classifier.net(behind[n : n + 1]) for n in range(1, len(behind))])


def _expect_same(
    classifier: Classifier, usual: Tensor, found: Tensor, form: str, only_classes: bool
) -> None:
    every = torch.arange(len(usual), device=usual.device)
    others = changed(usual, found, every, classifier.rounding, only_classes=only_classes)
    if others:
        raise ModelRefused(
            "Expected a model that answers alike in whatever form images arrive, got other answers "
            f"to {others} of {len(usual)} images {form}. Take out of the network whatever looks at "
            "the bits or the memory of its input."
        )
