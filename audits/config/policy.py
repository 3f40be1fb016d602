"""Policy: the conditions under which a model may go out, and waivers of them."""

from collections import Counter
from datetime import date
from typing import Self

from pydantic import Field, model_validator

from audits.evidence.metric import figure_name
from audits.strict import Share, ShortText, Strict

_BOUNDS = ("min", "max", "min_lift", "max_drop")


class Condition(Strict):
    """One bound on one metric, `<check>/<metric>`: one of `min`, `max`, `min_lift`, `max_drop`."""

    metric: str = Field(pattern=r"^[^/]+/[^/]+$")
    min: float | None = None
    max: float | None = None
    min_lift: float | None = Field(
        default=None, description="bound on the metric's lift over its null, <metric>_lift"
    )
    max_drop: float | None = Field(
        default=None,
        description="bound on how far the metric is below the baseline's, image by "
        "image, <metric>_drop",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(getattr(self, name) is not None for name in _BOUNDS) != 1:
            raise ValueError(f"expected exactly one of {', '.join(_BOUNDS)} for {self.metric!r}")
        return self

    @property
    def judged_metric(self) -> str:
        """The full name of the figure that is judged: the metric, its lift or its drop."""
        if self.min_lift is not None:
            return figure_name(self.metric, "lift")
        return self.metric if self.max_drop is None else figure_name(self.metric, "drop")

    @property
    def bound(self) -> float:
        """The number that `judged_metric` is compared with, in that metric's unit.

        It is the least allowed value, or the largest one if `from_above`. A share is in [0, 1], the
        lift or drop of a share in [-1, 1].
        """
        bounds: list[float | None] = [getattr(self, name) for name in _BOUNDS]
        return next(bound for bound in bounds if bound is not None)

    @property
    def from_above(self) -> bool:
        """Whether the judged metric must be at most the bound; else at least."""
        return self.max is not None or self.max_drop is not None

    def __str__(self) -> str:
        return f"{self.judged_metric} {'<=' if self.from_above else '>='} {self.bound:g}"


class Waiver(Strict):
    """Excuses one condition until a day, for a reason."""

    condition: str = Field(description="as verdicts write it, e.g. performance/accuracy >= 0.9")
    reason: ShortText
    until: date = Field(description="the last day on which the waiver holds, in UTC")

    def holds(self, today: date) -> bool:
        """Whether the condition is excused on `today`, a day in UTC; the last day is included."""
        return today <= self.until


class Policy(Strict):
    """A model may go out if every condition passes, each on the worse end of its interval."""

    conditions: tuple[Condition, ...] = ()
    min_coverage: Share = Field(
        default=0.5, description="least share of images a check must cover for its metrics to count"
    )
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        conditions = Counter(str(condition) for condition in self.conditions)
        for name, count in conditions.items():
            if count > 1:
                raise ValueError(f"two conditions are {name!r}; keep one")
        waived = Counter(waiver.condition for waiver in self.waivers)
        for name, count in waived.items():
            if name not in conditions:
                raise ValueError(
                    f"a waiver names the condition {name!r}, which the policy does not have; it "
                    f"has: {', '.join(conditions) or 'none'}"
                )
            if count > 1:
                raise ValueError(f"two waivers name the condition {name!r}; keep one")
        return self

    @property
    def alone(self) -> Self:
        """The policy without conditions that compare with a baseline, and without their waivers."""
        kept = tuple(one for one in self.conditions if one.max_drop is None)
        names = {str(one) for one in kept}
        waivers = tuple(one for one in self.waivers if one.condition in names)
        return self.model_copy(update={"conditions": kept, "waivers": waivers})

    def waiver(self, condition: Condition) -> Waiver | None:
        """The waiver of a condition, also if it has ended; None if the policy has none."""
        return next((w for w in self.waivers if w.condition == str(condition)), None)
