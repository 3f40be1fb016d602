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
from fillblanks.memory import is_short

_IMAGES, _AT_ONCE = 16, 4
_LEVELS = 255
_NEAR = 1e-5  # of a whole level, for images that were stored with 8 bits
_STEPS = 2  # of a number's last place
_SEED = 0


def expect_same_answers(classifier: Classifier, images: Tensor, *, only_classes: bool) -> None:
    """Asks up to 16 of `images` (N, C, H, W) in [0, 1] in several forms.

    Raises ModelRefused if more of them than rounding explains are answered otherwise.
    """
    some = classifier.to_device(images[:_IMAGES])
    inputs = (some - classifier.mean) / classifier.std
    every = torch.arange(len(some), device=some.device)
    with classifier.steady(), torch.no_grad():
        usual = _answers(classifier, inputs.split(_AT_ONCE))
        if usual is None:
            return  # the audit asks the same next, and tells why there is no answer
        for form, batches in _forms(classifier, some, inputs):
            found = _answers(classifier, batches)
            if found is None:
                continue
            rounding = classifier.rounding
            others = changed(usual, found, every, rounding, only_classes=only_classes)
            if others:
                raise ModelRefused(
                    f"Expected a model that answers alike in whatever form images arrive, got "
                    f"other answers to {others} of {len(some)} images {form}. Take out of the "
                    "network whatever looks at the bits or the memory of its input."
                )


def _forms(
    classifier: Classifier, images: Tensor, inputs: Tensor
) -> Iterator[tuple[str, list[Tensor]]]:
    levels = (images * _LEVELS).round()
    if (images * _LEVELS - levels).abs().max() < _NEAR * _LEVELS:
        scaled = (levels - _LEVELS * classifier.mean) * (1 / (_LEVELS * classifier.std))
        yield "with pixels scaled by another formula", list(scaled.split(_AT_ONCE))
    draw = torch.Generator().manual_seed(_SEED)
    steps = torch.randint(-_STEPS, _STEPS + 1, inputs.shape, generator=draw).to(inputs)
    moved = inputs * (1 + steps * torch.finfo(inputs.dtype).eps)
    yield "with other last bits", list(moved.split(_AT_ONCE))
    behind = torch.cat([inputs[-1:], inputs])
    yield "as rows of a larger batch", [behind[n : n + 1] for n in range(1, len(behind))]
    last = inputs.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    yield "with channels last", list(last.split(_AT_ONCE))


def _answers(classifier: Classifier, batches: list[Tensor] | tuple[Tensor, ...]) -> Tensor | None:
    """Logits (n, K); None if the network does not take this form, which its users would see."""
    try:
        return torch.cat([classifier.net(batch) for batch in batches])
    except NETWORK_ERRORS as error:
        if is_short(error) and len(batches) < sum(map(len, batches)):
            return _answers(classifier, [row for batch in batches for row in batch.split(1)])
        return None
