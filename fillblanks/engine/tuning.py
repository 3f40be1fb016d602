"""Tuning: a fast plan for a network, found by trying it, that does not change the answer."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.aten import operations
from fillblanks.engine.comparison import Comparison, FillInTrial
from fillblanks.engine.plan import REDUCED, Plan, with_fixed
from fillblanks.engine.search import Search, Trial
from fillblanks.engine.step import UpdateOrder

LEAST_OVERLAP = 0.98


@dataclass(frozen=True)
class Tuning:
    """The plan that was found, and the plans that were tried."""

    plan: Plan
    seconds_per_pass: float  # of one masked image
    overlap: float  # least overlap of the plan's prototypes with those of float64; NaN: not known
    trials: tuple[Trial, ...]


def tuned(
    classifier: Classifier,
    images: Tensor,
    *,
    fill: FillInTrial,
    order: UpdateOrder,
    draws: int,
    passes: int | None,
    fixed: dict[str, Any],
    largest: int | None = None,
) -> Tuning:
    """Finds a fast plan for passes of `order`, whose answer is that of `fill`.

    `images` (N, C, H, W), as `Classifier.to_input` gives them, are those that `fill` fills. The
    other arguments, and the errors, are those of `fillblanks.tune`.
    """
    if with_fixed(Plan(1), fixed, images.shape[1:]).needs_graph:
        operations()  # raises if torch lacks any: sooner, and in plainer words, than in a trial
    search = Search(classifier, images, order, fixed, passes, largest)
    full = search.full()
    candidates = search.reduced(full)
    count, draws = search.affordable(full, len(images), draws)
    if not count and "precision" not in fixed:
        return Tuning(full.plan, full.seconds_per_pass, float("nan"), tuple(search.trials))
    compared = Comparison(classifier, fill, max(count, 1), draws)
    distance = compared.full_to_float64(full.plan)
    for trial in (*candidates, full):
        reduced = trial.plan.precision in REDUCED
        further, changes = compared.to_full(trial.plan, full.plan) if reduced else (0.0, "")
        least = 1 - distance - further
        if not reduced or "precision" in fixed or (least >= LEAST_OVERLAP and not changes):
            return Tuning(trial.plan, trial.seconds_per_pass, least, tuple(search.trials))
        refused = f"its prototypes overlap with those of float64 by {least:.3f}{changes}"
        search.trials.append(replace(trial, overlap=least, refused=refused))
    raise AssertionError("full precision is always taken")
