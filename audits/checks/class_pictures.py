"""ClassPictures: whole pictures of classes, and whether an independent network names them."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from audits.checks._shared.images import picture, slugs
from audits.checks._shared.prior import images_beside, spectrum_of, told_beside, with_spectrum
from audits.checks._shared.readings import Readings, readings
from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Picture, Seen, Shows
from audits.evidence.intervals import bounded_mean, paired_mean_difference
from audits.evidence.metric import Metric, Null
from audits.strict import Count
from fillblanks.synthesis.parametrisation import Prior
from fillblanks.synthesis.whole import class_pictures, default_steps

_UNIT_VALUES = 100_000_000  # in all passes of a unit
_UNIT_CLASSES = 256
_MOST_STEPS, _MOST_SEEDS = 10_000, 100
_APART = 1 << 20  # numbers between two classes, for their seeds
_FIRST = 5  # places in the order of a network's classes
_NULL = Null("noise with the same spectrum")

# What the steps of a slider show, and their captions. The last is where a slider opens in MLflow.
_STEPS: dict[Shows, str] = {"noise": "noise", "rests": "what it rests on", "asked": "class picture"}


class ClassPictures(Check):
    """Pictures that the model likes best for each class, named by the reference.

    A picture begins as noise with the spectrum of the data's images, and many steps raise the logit
    of its class. Each class has `seeds` pictures. With `prior: maco` only the phases of the
    spectrum are free (Fel et al. 2023, arXiv 2306.06805). With `crops` each step sees a random part
    of the picture: that hides what stands at one place in all images of a class, such as a
    planted mark, so look at pictures without crops too. The picture of the parts that matter has
    the gradient's magnitude as its opacity.

    Without a reference the check has pictures and no figure to judge. No default policy asks for
    its figures: they tell less than those of `completion`, whose fills stand in real images.
    """

    kind: Literal["class_pictures"] = "class_pictures"
    version: ClassVar[int] = 1
    plain_name: ClassVar[str] = "Pictures of classes"
    shows_fills: ClassVar[bool] = True
    how_to_read: ClassVar[tuple[str, ...]] = (
        "A picture of each class is made from noise, in many small steps that make the class "
        "likelier for the model.",
        "The reference, a network that was trained apart from the model, then names the pictures. "
        "The null is the noise before the first step.",
        "Pictures of one class are much alike, so the intervals are over classes.",
        "The model names its own pictures right even if they are nonsense: that figure is not "
        "judged.",
    )
    legend: ClassVar[tuple[str, ...]] = (
        "The first picture of each class. The reference, if there is one, reads the pictures, else "
        "the model.",
        "Where the steps hardly relied on a picture, the picture of the parts that matter is grey.",
    )
    classes: Count = Field(
        default=10, description="how many classes, the first in the seed's order of images"
    )
    seeds: Annotated[int, Field(ge=1, le=_MOST_SEEDS)] = Field(
        default=2, description="how many pictures a class"
    )
    prior: Prior = Field(
        default="spectrum",
        description="spectrum (amplitudes and phases are free) or maco (the phases alone)",
    )
    crops: bool = Field(default=False, description="whether each step sees a random part")
    steps: Annotated[int, Field(ge=1, le=_MOST_STEPS)] | None = Field(
        default=None, description="default 64, with maco 128"
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        own = Metric("the model's own probability of the class, in its picture", better=None)
        if not reference:
            return {"own": own}
        return {
            "recognised": Metric(
                "pictures of classes that the reference names right",
                null=_NULL,
                about_learning=True,
                clause="draws classes so that the reference names {} of the pictures right",
            ),
            "recognised_top5": Metric(
                "pictures of classes whose class is in the reference's first five",
                null=_NULL,
                about_learning=True,
            ),
            "own": own,
        }

    def captions(self) -> tuple[str, ...]:
        return tuple(_STEPS.values())

    def settled(self, shape: tuple[int, int, int]) -> Self:
        return self.model_copy(update={"steps": self._taken})

    @property
    def _taken(self) -> int:
        return default_steps(self.prior) if self.steps is None else self.steps

    def chosen(self, audit: AuditContext) -> np.ndarray:
        """One image of each class that is drawn; its label is the class."""
        order = audit.images.sampled_order(audit.seed)[: self.images]
        _, first = np.unique(audit.images.labels[order], return_index=True)
        return np.sort(order[np.sort(first)[: self.classes]])

    def unit_images(self, audit: AuditContext) -> int:
        return max(1, min(_UNIT_CLASSES, _UNIT_VALUES // (math.prod(audit.shape) * self.passes(1))))

    def units(self, audit: AuditContext) -> list[Unit]:
        return with_spectrum(audit, super().units(audit), images_beside(audit, _NONE))

    def passes(self, images: int) -> int:
        return min(images, self.classes) * self.seeds * self._taken

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        labels = torch.from_numpy(audit.images.labels[list(unit.indices)])
        repeated = labels.repeat_interleave(self.seeds)
        numbers = torch.arange(self.seeds).repeat(len(labels))
        found = class_pictures(
            audit.classifier,
            repeated,
            spectrum=spectrum_of(audit, unit, images_beside(audit, _NONE)),
            prior=self.prior,
            crops=self.crops,
            steps=self._taken,
            seed=audit.seed,
            indices=repeated * _APART + numbers,
            plan=audit.plan,
        )
        own = readings(audit, found.image, audit.classifier)
        by = audit.reference or audit.classifier
        read, null = readings(audit, found.image, by), readings(audit, found.start, by)
        part = {
            "class": repeated.numpy(),
            "seed": numbers.numpy(),
            "own": np.exp(own.of(repeated)),
            "read": read.predicted,
            "read_null": null.predicted,
            **_shown(unit, labels, self.seeds, found.start, found.image, found.weight),
        }
        return part if audit.reference is None else part | _ranks(read, null, repeated)

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, count = len(unit.indices) * self.seeds, len(audit.classes)
        shown, (_, height, width) = len(set(unit.shown)), audit.shape
        ranks = ("rank", "rank_null") if audit.with_reference else ()
        return {
            "class": Array("int", (n,), 0, count - 1),
            "seed": Array("int", (n,), 0, self.seeds - 1),
            "own": Array("float", (n,), 0, 1),
            "read": Array("int", (n,), -1, count - 1),
            "read_null": Array("int", (n,), -1, count - 1),
            **{name: Array("int", (n,), 1, count) for name in ranks},
            "shown_label": Array("int", (shown,), 0, count - 1),
            "shown": Array("int", (shown, len(_STEPS), height, width, 3), 0, 255),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        reference = "rank" in parts[0]
        ranks = ("rank", "rank_null") if reference else ()
        columns = ("class", "seed", "own", "read", "read_null", *ranks)
        table = pd.DataFrame({c: np.concatenate([part[c] for part in parts]) for c in columns})
        metrics = self._measured(table, reference)
        names = [audit.classes[label] for label in table["class"]]
        return Evidence(
            check=self.name,
            sentence=_sentence(metrics, len(table)),
            metrics=metrics,
            tables={"pictures": table.assign(**{"class": names})},
            pictures=_pictures(self.name, audit, parts, table),
            legend=(*self.legend, told_beside(audit, _NONE)),
            passes=len(table) * self._taken,
        )

    def _measured(self, table: pd.DataFrame, reference: bool) -> dict[str, Metric]:
        declared = self.declared_metrics(reference)
        found = {}
        if reference:
            for name, place in (("recognised", 1), ("recognised_top5", _FIRST)):
                hits, null = (
                    _by_class(table["class"], table[column] <= place)
                    for column in ("rank", "rank_null")
                )
                found[name] = declared[name].measured(
                    bounded_mean(hits), bounded_mean(null), paired_mean_difference(hits, null)
                )
        own = _by_class(table["class"], table["own"])
        return found | {"own": declared["own"].measured(bounded_mean(own))}


_NONE = np.array([], dtype=np.int64)  # no image is filled, so all may give the spectrum


def _by_class(classes: pd.Series, values: pd.Series) -> np.ndarray:
    """The mean of each class's pictures: those of other seeds are much alike, and no other case."""
    return values.astype(float).groupby(classes).mean().to_numpy()


def _ranks(read: Readings, null: Readings, labels: Tensor) -> Part:
    return {"rank": read.rank(labels), "rank_null": null.rank(labels)}


def _shown(
    unit: Unit, labels: Tensor, seeds: int, start: Tensor, image: Tensor, weight: Tensor
) -> Part:
    """The first picture of each class that is shown: noise, what it rests on, the picture."""
    rows = np.flatnonzero(np.isin(unit.indices, unit.shown))
    steps = []
    for row in (rows * seeds).tolist():
        opacity = (weight[row] / weight[row].quantile(0.95).clamp(min=1e-12)).clamp(max=1)
        rests = 0.5 + opacity * (image[row] - 0.5)
        steps.append(np.stack([picture(one) for one in (start[row], rests, image[row])]))
    none = np.zeros((0, len(_STEPS), 0, 0, 3), np.uint8)
    return {
        "shown_label": labels.numpy()[rows],
        "shown": np.stack(steps) if steps else none,
    }


def _pictures(
    check: str, audit: AuditContext, parts: Sequence[Part], table: pd.DataFrame
) -> tuple[Picture, ...]:
    keys, first = slugs(audit.classes), table[table["seed"] == 0].set_index("class")
    found = []
    for part in parts:
        for label, steps in zip(part["shown_label"].tolist(), part["shown"], strict=True):
            read = {"noise": first["read_null"][label], "asked": first["read"][label]}
            for step, (shows, caption) in enumerate(_STEPS.items()):
                seen = Seen(shows, None, label, int(read[shows]) if shows in read else None)
                key = f"{check}/{keys[label]}"
                found.append(Picture(key, step, steps[step], caption, title=keys[label], seen=seen))
    return tuple(found)


def _sentence(metrics: dict[str, Metric], n: int) -> str:
    if "recognised" not in metrics:
        return (
            f"{n} pictures of classes were drawn; without a reference no other network has read "
            "them, and nothing is judged."
        )
    told = metrics["recognised"]
    assert told.null is not None
    assert told.null.estimate is not None
    return (
        f"An independent network names {told.estimate.value:.0%} of {n} pictures of classes right, "
        f"and {told.null.estimate.value:.0%} of the noise from which they were made."
    )
