"""The plan of an audit: found on the model once, written down, and kept."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.errors import one_line, shortened
from audits.execution.child import Opened
from audits.execution.peak import peak_gib
from audits.models.form import includes
from fillblanks import OutOfMemory, Plan, Tuning, tune
from fillblanks.classifier import predicted_class
from fillblanks.engine.plan import REDUCED
from fillblanks.engine.step import Logits, Step, UpdateOrder
from fillblanks.engine.timing import Runner, seconds_per_pass
from fillblanks.engine.tuning import LEAST_OVERLAP
from fillblanks.fills.update import FIRST_ORDER

# An audit that puts fewer values than this through the model is over in seconds on one core; it
# takes the network as it is.
_SHORT_VALUES = 3e7
_MOST_DRAWS = 1024  # of an image, for comparing precisions
_IMAGES = 32
_PRECISE = ("float64", "full", "mixed", "bfloat16")


@dataclass(frozen=True)
class Planned:
    """A plan and what is known of it; plain values, as they are written down."""

    plan: dict[str, Any]
    overlap: float | None  # with float64; None: not known
    refused: tuple[str, ...]  # faster precisions that would have changed the answer, and why

    @property
    def note(self) -> str:
        """One sentence for the evidence."""
        plan = Plan(**self.plan)
        overlap = "an unknown share" if self.overlap is None else f"{self.overlap:.3f} or more"
        words = (
            f"Averages of many draws were taken in {plan.precision} precision; in a trial, its "
            f"prototypes overlapped with those of float64 by {overlap}"
        )
        if plan.precision in REDUCED and not (self.overlap or 0.0) >= LEAST_OVERLAP:
            words += f", less than the {LEAST_OVERLAP} that is expected where none is fixed"
        return ". ".join((words, *self.refused)) + "."


def _predicted(classifier: Logits, masked: Tensor, labels: Tensor | None = None) -> Step:
    """A pass of a model that has no gradient."""
    with torch.no_grad():
        predicted = predicted_class(classifier(masked))
    return Step(masked, predicted, predicted)


_PREDICTION = UpdateOrder(step=_predicted, capturable=False, reducible=False)


def is_short(config: AuditConfig, images: ImageSet) -> bool:
    """Whether tuning would not pay."""
    if not any(check.fill_options() for check in config.checks):
        return True
    # Precision that somebody reduced is always compared, since the evidence must say what it does.
    return not is_long(config, images) and config.engine.precision not in REDUCED


def is_long(config: AuditConfig, images: ImageSet) -> bool:
    """Whether somebody would want to know the cost before."""
    return config.passes(len(images)) * images.tensor([0]).numel() >= _SHORT_VALUES


def untuned(plan: Plan, reason: str) -> Planned:
    """The plan that needs no trial, for a model that could not be tried: why, is told."""
    return Planned(asdict(plan), None, (f"Tuning failed: {reason}",))


@dataclass(frozen=True)
class Timed:
    """Seconds of a pass over one image, and the highest memory, or that memory was too short."""

    seconds: float = math.nan
    peak_gib: float = math.nan
    short: str = ""  # for the plan, in words


def time_plan(opened: Opened) -> Timed:
    """In the worker: times a pass by the plan of the audit.

    If memory is too short for the plan, the result says so.
    """
    context = opened.context
    try:
        images = context.images.tensor(range(1))
        order, plan = FIRST_ORDER, context.plan
        if not includes(opened.gives, "gradients"):  # then the network is run as it is
            order, plan = _PREDICTION, Plan(plan.chunk, plan.block)
        runner = Runner(context.classifier, images, plan, order)
        return Timed(seconds_per_pass(runner), peak_gib())
    except OutOfMemory as error:
        return Timed(short=one_line(error))


def find_plan(opened: Opened) -> Planned:
    """In the worker: a plan that suits all checks that average draws.

    If their fills do not all keep the same precision, the most exact one is taken.
    """
    context = opened.context
    some = context.images.sampled_order(context.seed)[:_IMAGES].tolist()
    images, labels = context.images.tensor(some), torch.from_numpy(context.images.labels[some])
    fixed, found, refused = opened.config.engine.fixed, list[Tuning](), list[str]()
    for check in opened.config.checks:
        options = check.fill_options()
        if options is None:
            continue
        tuning = tune(
            context.classifier,
            images,
            labels,
            draws=min(options["samples"], _MOST_DRAWS),
            passes=check.passes(min(len(context.images), check.images or len(context.images))),
            fixed=fixed,
            seed=context.seed,
            largest=opened.largest_chunk,
            **options,
        )
        found.append(tuning)
        if tuning.plan.chunk < fixed.get("chunk", 0):
            refused.append(f"Memory was too short for {fixed['chunk']} images in a pass")
        refused += [
            shortened(f"{check.name} does not keep {trial.plan.precision}: {trial.refused}", 400)
            for trial in tuning.trials
            if trial.overlap is not None
        ]
        # What is fastest was found; for the other checks only the precision is left to see.
        fixed = {k: v for k, v in asdict(tuning.plan).items() if k != "precision"}
        fixed |= opened.config.engine.fixed
    best = min(found, key=lambda tuning: _PRECISE.index(tuning.plan.precision))
    overlaps = [tuning.overlap for tuning in found]
    overlap = float("nan") if any(map(math.isnan, overlaps)) else max(0.0, min(overlaps))
    return Planned(
        asdict(best.plan),
        overlap if math.isfinite(overlap) else None,
        tuple(refused),
    )
