"""Metric: an estimate and its description, for verdict, policy, comparison and report."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

from audits.evidence.estimate import UNMEASURED, Estimate

Better = Literal["higher", "lower"]
MetricUnit = Literal["share", "difference", "ratio", "count", "nats"]
Statistic = Literal["accuracy", "f1_macro", "f1_weighted", "mean", "unbounded_mean"]
Figure = Literal["value", "null", "lift", "drop"]


@dataclass(frozen=True)
class Pairing:
    """How a metric is compared with the same metric of a baseline, image by image.

    `column` of `Evidence.images` holds the predicted class of each image (int, -1 for none) or,
    for the statistic "mean", a value in [low, high], or for "unbounded_mean" any number.
    """

    column: str
    statistic: Statistic
    same_size: bool = False  # compared only if both models take images of one size
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Null:
    """The value that a metric would have if its claim were false.

    `estimate` is measured or known. If the null is not `single`, each part of the metric has a null
    of its own, and only the lift is one figure.
    """

    title: str  # "the same pixels shuffled"
    estimate: Estimate | None = None
    single: bool = True


@dataclass(frozen=True)
class DefaultBounds:
    """Bounds of the default policy on a metric, in its unit; None for no condition.

    Policies that are written from an accepted version have conditions on these metrics alone.
    """

    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    min_lift: float | None = None


@dataclass(frozen=True)
class Metric:
    """One figure of a check, with its interval and its meaning.

    A check declares its metrics before it measures them. `estimate` is then UNMEASURED, NaN over 0
    images, which is never judged.
    """

    title: str  # its name for people: "own drawing recognised"
    estimate: Estimate = UNMEASURED
    better: Better | None = "higher"  # None: neither is better, and there is no null or pairing
    unit: MetricUnit = "share"
    is_coverage: bool = False  # the share of images for which the check has a result
    about_learning: bool = False  # tells what the model has learnt, not only how often it is right
    null: Null | None = None
    lift: Estimate | None = None  # how much better than the null, the same images in pairs
    pairing: Pairing | None = None
    drop: Estimate | None = None  # how much worse than the baseline, image by image
    baseline_lift: Estimate | None = None  # of the baseline over its null
    rests_on: str | None = None  # metric of the check whose lift must be above 0 for this to pass
    # A metric of the check; this one finds tricks by which that gets its lift. Without a lift of
    # that it says nothing, and it needs no coverage.
    guards: str | None = None
    bounds: DefaultBounds | None = None
    clause: str = ""  # for a sentence about the model: "recognises {} of its own drawings"

    def measured(
        self,
        estimate: Estimate,
        null: Estimate | float | None = None,
        lift: Estimate | None = None,
    ) -> Self:
        """This metric with its figures.

        A lift above 0 means better than the null, whichever way is better. If `null` is an estimate
        or None, `lift` must be given too; if `null` is a known value, the lift follows from it.
        Raises ValueError if the metric declares a null and gets no lift, or the other way round.
        """
        if isinstance(null, int | float):
            known = float(null)
            lift = self.oriented(estimate.minus(known))
            null = Estimate(known, known, known, estimate.n)
        if (self.null is None) != (lift is None):
            wanted = "no null" if self.null is None else "a null and a lift"
            raise ValueError(f"Expected {wanted} for {self.title!r}, as it was declared.")
        if self.null is None:
            return replace(self, estimate=estimate)
        return replace(self, estimate=estimate, null=replace(self.null, estimate=null), lift=lift)

    def oriented(self, difference: Estimate) -> Estimate:
        """A difference to this metric, with its sign turned if lower is better."""
        return difference.negated() if self.better == "lower" else difference

    def unmeasured(self) -> Self:
        """This metric as it was declared, without its figures."""
        null = None if self.null is None else replace(self.null, estimate=None)
        bare = replace(self, estimate=UNMEASURED, null=null, lift=None)
        return replace(bare, drop=None, baseline_lift=None)

    def described_as(self, declared: "Metric") -> Self:
        """The figures of this metric with the description (title, unit, ...) of `declared`."""
        null = declared.null
        if null is not None and self.null is not None:
            null = replace(null, estimate=self.null.estimate)
        kept = ("estimate", "lift", "drop", "baseline_lift")
        figures = {name: getattr(self, name) for name in kept}
        return replace(self, **{**vars(declared), **figures, "null": null})


def figure_name(metric: str, figure: Figure) -> str:
    """The name of one figure of a metric; no other code makes or reads these names."""
    return metric if figure == "value" else f"{metric}_{figure}"


class Named(NamedTuple):
    """One figure of a metric, as conditions and MLflow name it."""

    metric: str  # name of the metric that it belongs to
    figure: Figure
    estimate: Estimate | None  # None: not known yet


def named_figures(metrics: Mapping[str, Metric]) -> dict[str, Named]:
    """Every figure that the metrics have or could have, by its name.

    A metric `accuracy` with a null has `accuracy_null` and `accuracy_lift` beside it, a metric that
    can be paired with a baseline `accuracy_drop`.
    """
    return dict(_named(metrics))


def _named(metrics: Mapping[str, Metric]) -> Iterator[tuple[str, Named]]:
    for name, metric in metrics.items():
        yield name, Named(name, "value", metric.estimate)
        if metric.null is not None:
            if metric.null.single:
                yield figure_name(name, "null"), Named(name, "null", metric.null.estimate)
            yield figure_name(name, "lift"), Named(name, "lift", metric.lift)
        if metric.pairing is not None or metric.drop is not None:
            yield figure_name(name, "drop"), Named(name, "drop", metric.drop)
