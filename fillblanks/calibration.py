"""calibrate: a fast plan for a network, found by trying it, that does not change the answer."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.fill import expected_fill
from fillblanks.memory import OutOfMemory
from fillblanks.plan import REDUCED, Plan, default_plan, with_block, with_fixed
from fillblanks.threshold import overlap
from fillblanks.timing import Runner, seconds_per_pass, times_faster

LEAST_OVERLAP = 0.98
_IMAGES = 32  # at most, whose prototypes are compared
_DRAWS_FLOAT64 = 64  # draws of each in float64, which is slow
_MOVED = 1 / 8  # of them may be recognised as another class: less than an interval over so few
_GAIN = 1.02  # a candidate that is not faster by this much does not replace a simpler one
_LARGEST_CHUNK = {"cpu": 512, "cuda": 16384}
_LONG_PASS_SECONDS = 0.25  # of a whole chunk: a larger one cannot save much
_RUNNERS_KEPT = 3


@dataclass(frozen=True)
class Trial:
    """A plan that was tried."""

    plan: Plan
    seconds_per_pass: float  # of one masked image; infinite where the network does not run so
    overlap: float | None = None  # of its prototypes with those of float64, at least
    refused: str = ""  # why it was not taken, where speed is not why


@dataclass(frozen=True)
class Calibration:
    """The plan that was found, and what was tried."""

    plan: Plan
    seconds_per_pass: float
    overlap: float  # of the plan's prototypes with those of float64, at least; NaN: not known
    trials: tuple[Trial, ...]


def calibrate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    draws: int = 512,
    fixed: dict[str, Any] | None = None,
    **options: Any,
) -> Calibration:
    """Finds a fast plan for `expected_fill(classifier, images, labels, **options)`.

    Memory format, rewriting and chunk are tried for speed, in full precision; then reduced
    precision, which is taken only if it does not change the answer: with the same masks its
    prototypes overlap with those of float64 by 0.98 or more (mean intersection over union of up to
    32 `images`), and no more than one in eight is recognised as another class. The overlap is
    bounded through full precision, with `draws` draws an image between the two and 64 between full
    and float64: 1 - overlap is a metric (Jaccard; Ruzicka where T is not binary), so distances add
    up at most.

    `fixed` holds fields of `Plan` that are not to be tried; a precision fixed there is taken
    whatever its overlap. Raises ValueError where the network cannot run as they say, OutOfMemory
    where not even a single pass fits into memory.
    """
    images = classifier.to_input(images[:_IMAGES])
    labels = None if labels is None else labels[:_IMAGES]
    if options.get("indices") is not None:
        options["indices"] = options["indices"][:_IMAGES]
    search = _Search(classifier, images, dict(fixed or {}))
    full = search.full()
    candidates = search.reduced(full)
    compared = _Comparison(classifier, images, labels, draws, options)
    distance = compared.full_to_float64(full.plan)
    for trial in (*candidates, full):
        reduced = trial.plan.precision in REDUCED
        further, moved = compared.to_full(trial.plan, full.plan) if reduced else (0.0, 0)
        least = 1 - distance - further
        if not reduced or "precision" in search.fixed:
            return Calibration(trial.plan, trial.seconds_per_pass, least, tuple(search.trials))
        if least >= LEAST_OVERLAP and moved <= _MOVED * len(images):
            return Calibration(trial.plan, trial.seconds_per_pass, least, tuple(search.trials))
        search.trials.append(
            replace(
                trial,
                overlap=least,
                refused=f"its prototypes overlap with those of float64 by {least:.3f}, and {moved} "
                f"of {len(images)} are recognised as another class",
            )
        )
    raise AssertionError("full precision is always taken")


class _Search:
    """Times plans, each beside the best one so far."""

    def __init__(self, classifier: Classifier, images: Tensor, fixed: dict[str, Any]):
        self.fixed, self.trials = fixed, list[Trial]()
        self._classifier, self._images = classifier, images
        self._runners: dict[Plan, Runner] = {}

    def full(self) -> Trial:
        """The fastest plan in full precision, or in the fixed one where it is not reduced."""
        reduced = self.fixed.get("precision") in REDUCED
        fixed = {k: v for k, v in self.fixed.items() if not (reduced and k == "precision")}
        shape = self._images.shape[1:]
        best = self._first(with_fixed(default_plan(*shape), fixed, shape))
        best = self._chunked(self._formatted(best))
        if self._classifier.device.type == "cuda":
            best = self._best(best, "captured", True)
        return best

    def reduced(self, full: Trial) -> list[Trial]:
        """Plans in reduced precision that are faster than `full`, fastest first."""
        wanted = self.fixed.get("precision")
        if wanted in ("full", "float64"):
            return []
        if wanted is None and self._classifier.dtype != torch.float32:
            return []
        found = []
        for precision in REDUCED if wanted is None else (wanted,):
            trial = self._tried(replace(full.plan, precision=precision), full)
            if wanted is not None and trial.refused:
                raise ValueError(f"Expected a network that runs in {wanted}, got {trial.refused}")
            if not trial.refused:
                trial = self._chunked(self._formatted(trial))
                faster = times_faster(self._runner(trial.plan), self._runner(full.plan))
                if wanted or faster >= _GAIN:
                    found.append(trial)
        return sorted(found, key=lambda trial: trial.seconds_per_pass)

    def _first(self, plan: Plan) -> Trial:
        """The plan all others are held against; it must run, with a smaller chunk if need be."""
        while True:
            try:
                return self._keep(Trial(plan, seconds_per_pass(self._runner(plan))))
            except OutOfMemory:
                if plan.chunk == 1:
                    raise
                plan = plan.halved()

    def _formatted(self, best: Trial) -> Trial:
        """In the other memory format and with the rewritten graph, where they are faster."""
        formats = {"contiguous": "channels_last", "channels_last": "contiguous"}
        best = self._best(best, "memory_format", formats[best.plan.memory_format])
        return self._best(best, "fused", not best.plan.fused)

    def _chunked(self, best: Trial) -> Trial:
        """With larger chunks as long as they are faster, else with smaller ones."""
        largest = _LARGEST_CHUNK[self._classifier.device.type]
        start = best
        for factor in (2, 0.5):
            if best is not start:
                break
            while True:
                chunk = int(best.plan.chunk * factor)
                long = best.seconds_per_pass * best.plan.chunk > _LONG_PASS_SECONDS and factor > 1
                if long or not 1 <= chunk <= largest:
                    break
                better = self._best(best, "chunk", chunk)
                if better is best:
                    break
                best = better
        return best

    def _best(self, best: Trial, name: str, value: Any) -> Trial:
        """`best`, or with `name` changed to `value` where that may be and is faster."""
        if name in self.fixed:
            return best
        plan = replace(best.plan, **{name: value})
        if name == "chunk" and "block" not in self.fixed:
            plan = with_block(plan, self._images.shape[1:].numel())
        trial = self._tried(plan, best)
        return trial if trial.seconds_per_pass * _GAIN <= best.seconds_per_pass else best

    def _tried(self, plan: Plan, best: Trial) -> Trial:
        """A trial beside `best`; not every network runs in every way, one that does not is told."""
        try:
            faster = times_faster(self._runner(plan), self._runner(best.plan))
            return self._keep(Trial(plan, best.seconds_per_pass / faster))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = f"{type(error).__name__}: {(str(error).strip() or ' ').splitlines()[0]}"
            return self._keep(Trial(plan, float("inf"), refused=reason))

    def _runner(self, plan: Plan) -> Runner:
        if plan not in self._runners:
            runner = Runner(self._classifier, self._images, plan)
            while len(self._runners) >= _RUNNERS_KEPT:
                self._runners.pop(next(iter(self._runners)))
            self._runners[plan] = runner
        return self._runners[plan]

    def _keep(self, trial: Trial) -> Trial:
        self.trials.append(trial)
        return trial


class _Comparison:
    """How far apart the prototypes of two plans are, over the same masks."""

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor | None,
        draws: int,
        options: dict[str, Any],
    ):
        self._classifier, self._images, self._labels = classifier, images, labels
        self._draws, self._options = draws, options
        self._full: dict[int, Tensor] = {}

    def full_to_float64(self, full: Plan) -> float:
        draws = min(self._draws, _DRAWS_FLOAT64)
        try:
            # Of the network as it is: memory format, for one, decides between equal values.
            plan = Plan(full.chunk, full.block, precision="float64")
            reference = self._prototypes(plan, draws)
        except (RuntimeError, ValueError, TypeError):
            return float("nan")  # a network that has no float64 has no reference
        return _distance(reference, self._full_prototypes(full, draws))

    def to_full(self, plan: Plan, full: Plan) -> tuple[float, int]:
        """The distance, and how many prototypes are recognised as another class."""
        one, other = self._prototypes(plan, self._draws), self._full_prototypes(full, self._draws)
        moved = self._recognised(one) != self._recognised(other)
        return _distance(one, other), int(moved.sum())

    def _full_prototypes(self, full: Plan, draws: int) -> Tensor:
        if draws not in self._full:
            self._full[draws] = self._prototypes(full, draws)
        return self._full[draws]

    def _prototypes(self, plan: Plan, draws: int) -> Tensor:
        return expected_fill(
            self._classifier,
            self._images,
            self._labels,
            samples=draws,
            max_draws=draws,
            plan=plan,
            **self._options,
        ).prototype

    def _recognised(self, prototypes: Tensor) -> Tensor:
        with self._classifier.steady():
            return self._classifier.predict(self._classifier.to_device(prototypes))


def _distance(one: Tensor, other: Tensor) -> float:
    """Mean of 1 - overlap; 1 for an image that only one found a fill for; NaN if none did."""
    missing = torch.stack([one.flatten(1).isnan().any(1), other.flatten(1).isnan().any(1)])
    distances = torch.where(missing.any(0), 1.0, 1 - overlap(one, other))
    return float(distances[~missing.all(0)].mean())
