"""tune: a fast plan for `expected_fill` of a network."""

from typing import Any

from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.comparison import FillInTrial, TrialFill
from fillblanks.engine.plan import Plan
from fillblanks.engine.tuning import Tuning, tuned
from fillblanks.fills.expected import expected_fill
from fillblanks.fills.threshold import comparable
from fillblanks.fills.update import FIRST_ORDER

_IMAGES = 32  # at most, whose prototypes are compared
_ONLY_COST = ("samples", "max_draws", "tolerance")


def tune(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    draws: int = 512,
    passes: int | None = None,
    fixed: dict[str, Any] | None = None,
    largest: int | None = None,
    **options: Any,
) -> Tuning:
    """Finds a fast plan for `expected_fill(classifier, images, labels, **options)`.

    Memory format, rewriting and chunk are tried for speed, in full precision; then reduced
    precision, which is taken only if it does not change the answer. With the same masks, of up to
    32 `images`, its prototypes must overlap with those of float64 by 0.98 or more (mean
    intersection over union). The share of them that is recognised as another class, and the change
    of the share of accepted draws, must stay below half the 95 % interval (Wilson) of the figure
    that they change. The overlap is estimated through full precision, with `draws` draws of each
    image between the two and 64 between full and float64: 1 - overlap is a metric (Jaccard; Ruzicka
    if T is not binary), so distances add up at most.

    `passes` is the number of passes that the plan is wanted for: tuning then takes at most about a
    tenth of their time or 20 seconds, if need be with fewer images and draws or without reduced
    precision. `fixed` are fields of `Plan` that are not tried; a precision that is fixed there is
    taken whatever its overlap. `largest` is the most images that the network takes in a pass; no
    larger chunk is tried. `samples`, `max_draws` and `tolerance` among the options do not
    matter. If torch lacks a name that rewritten graphs and "mixed" take, they are not tried.

    Raises ValueError if the network cannot run as `fixed` says or the input is not that of
    `expected_fill`; OutOfMemory if not even a single pass fits into memory.
    """
    options = {name: value for name, value in options.items() if name not in _ONLY_COST}
    images = classifier.to_input(images[:_IMAGES])
    return tuned(
        classifier,
        images,
        fill=fill_in_trial(classifier, images, labels, options),
        order=FIRST_ORDER,
        draws=draws,
        passes=passes,
        fixed=dict(fixed or {}),
        largest=largest,
    )


def fill_in_trial(
    classifier: Classifier, images: Tensor, labels: Tensor | None, options: dict[str, Any]
) -> FillInTrial:
    """`expected_fill` with these `options`, in the form by which plans are compared."""
    normalise, binarise = options.get("normalise", "positive"), options.get("binarise", 0.1)

    def fill(count: int, draws: int, plan: Plan) -> TrialFill:
        some = dict(options)
        if some.get("indices") is not None:
            some["indices"] = some["indices"][:count]
        found = expected_fill(
            classifier,
            images[:count],
            None if labels is None else labels[:count],
            samples=draws,
            max_draws=draws,
            plan=plan,
            **some,
        )
        compared = comparable(found.update, normalise=normalise, binarise=binarise)
        return TrialFill(compared, found.prototype, found.label, found.accepted, found.drawn)

    return fill
