"""Concepts: of what are the images of a class made in the network, and is one part of it enough?"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from audits.checks._concepts.figures import (
    COLUMN_WORDS,
    Screened,
    classes_table,
    concepts_table,
    declared,
    images_table,
    measured,
    screened,
    sentence,
    state_of,
)
from audits.checks._concepts.looks import Settings, first_look, second_look
from audits.checks._concepts.of_class import LEAST_IMAGES, MOST_RANKED, WHY, State, Untried
from audits.checks._concepts.pictures import CAPTIONS, LEGEND, STEPS, pictures
from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.halves import Half, donor_units, expect_pool, halves, pool_cell
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array, UpTo
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count
from fillblanks.concepts.dictionary import Dictionary
from fillblanks.concepts.importance import DRAWS

_PASSES = 4  # an image of a class: named, encoded, and its answer before and after
_MOST_FEATURES = 1 << 16  # values at the cut that describe a concept
_HALF_PASS = 0.1  # of a pass: the half behind the cut is short


class _Again(NamedTuple):
    """The concept that stands out, and what looks at it again."""

    chosen: Screened
    dictionary: np.ndarray  # rows of the concepts of its class, float (r, features)
    channels: int
    common: int  # the place where the concept was strongest most often
    donors: np.ndarray  # images of its class in the other half, indices, int64 (n,)


class Concepts(Check):
    """Other images that turn into a class if they get a patch of one of its concepts.

    The network is cut in two halves at its last place that tells parts of the image apart. The
    values there, of images of a class that the model names so, are made of a few concepts (CRAFT,
    Fel et al. 2023, arXiv 2211.10154), which are ranked by Sobol's total indices. The ten patches
    in which one of the first concepts is strongest are pasted, at their places, into images of
    other classes. If most of these turn into the class, a patch is enough for the model: a
    watermark, a logo, or the object if it is small. The null is patches of other classes at the
    same places.

    Half of the data learns the concepts and screens all classes. The concept that stands out most
    is a selection, so it is looked at again on the other half, with patches that are sought there:
    only these figures are judged. The check sees what the audit's images carry.
    """

    kind: Literal["concepts"] = "concepts"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    asks_at_the_end: ClassVar[bool] = True
    needs: ClassVar[Needs] = "gradients"
    plain_name: ClassVar[str] = "Concepts of a class in images of others"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Inside the model, images of a class are made of a few parts, its concepts. The patches in "
        "which a concept is strongest are pasted into images of other classes, at the same place.",
        "If most of these turn into the class, and patches of other classes there do not turn "
        "them, a patch is enough for the model: look whether it is a mark or the object.",
        "The concept that stands out is looked at again with images that were not used before. The "
        "figures are of this second look.",
        "That concepts keep the predictions says little: random ones may keep many too, see the "
        "null.",
        "Marks are found only if the audit's images carry them, as those of the training did.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    concepts: Annotated[int, Field(ge=2, le=50)] = Field(
        default=10, description="concepts of each class"
    )
    patch_size: Count | None = Field(
        default=None, description="pixels of a pasted patch; default half of the shorter side"
    )
    donors: Annotated[int, Field(ge=LEAST_IMAGES, le=500)] = Field(
        default=100,
        description="images of each class that give its concepts, half of its images at most",
    )
    first: Annotated[int, Field(ge=1, le=5)] = Field(
        default=3, description="concepts of each class that are pasted, the most important ones"
    )
    others: Annotated[int, Field(ge=LEAST_IMAGES, le=500)] = Field(
        default=50, description="images of other classes that get a patch, for each concept"
    )
    confirm: Annotated[int, Field(ge=LEAST_IMAGES, le=1000)] = Field(
        default=200, description="images that confirm the concept that stands out"
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared()

    def captions(self) -> tuple[str, ...]:
        return CAPTIONS

    def settled(self, shape: tuple[int, int, int]) -> Self:
        return self.model_copy(update={"patch_size": self._size(shape)})

    def _size(self, shape: tuple[int, int, int]) -> int:
        return self.patch_size or max(1, min(shape[1:]) // 2)

    def impossible(self, shape: tuple[int, int, int]) -> str:
        side, size = min(shape[1:]), self._size(shape)
        if size <= side:
            return ""
        return (
            f"{self.name}: Expected a patch_size of 1 to {side} pixels in an image of "
            f"{shape[1]}x{shape[2]}, got {size}."
        )

    def unit_images(self, audit: AuditContext) -> int:
        return self.donors

    def units(self, audit: AuditContext) -> list[Unit]:
        """A unit for each class; its images may give concepts.

        Other images of the data set get the patches, so a unit names the digest of all.
        """
        shown = {int(audit.images.labels[i]) for i in self._first_of_classes(audit)}
        cell = pool_cell(audit, self.chosen(audit))
        return donor_units(audit, self._halves(audit)[0], self.donors, shown, cell)

    def _halves(self, audit: AuditContext) -> tuple[Half, Half]:
        return halves(audit, self.chosen(audit))

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # The figures of a class do not depend on how many images confirm another one.
        return self.model_dump(mode="json", exclude={"images", "label", "confirm"})

    def passes(self, images: int) -> int:
        return _PASSES * images

    def most_unit_passes(self, unit: Unit) -> int:
        return self._passes(len(unit.indices), self.first, self.others)

    def _passes(self, images: int, tried: int, others: int) -> int:
        ranked = min(images, MOST_RANKED) * (self.concepts + 1) * DRAWS
        return self.passes(images) + int(_HALF_PASS * ranked) + 2 * (tried + 1) * others

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        expect_pool(audit, self.chosen(audit), unit)
        return first_look(audit, unit, self._settings(audit), self.others)

    def _settings(self, audit: AuditContext) -> Settings:
        return Settings(self.chosen(audit), self.concepts, self.first, self._size(audit.shape))

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        last, n = len(audit.classes) - 1, len(unit.indices)
        first, concepts = UpTo(self.first, "first"), UpTo(self.concepts, "concepts")
        reads = Array("int", (first, UpTo(self.others, "others")), 0, last)
        return {
            **columns_form(audit, unit, "predicted"),
            "state": Array("int", (), 0, len(State) - 1),
            "kept": Array("int", (UpTo(n),), 0, 1),
            "importance": Array("float", (concepts, 3), 0),
            "dictionary": Array("float", (concepts, UpTo(_MOST_FEATURES)), 0),
            "channels": Array("int", (), 0),
            "common": Array("int", (first,), 0),
            "read": reads,
            "read_null": reads,
            **shown_form(audit, unit, len(STEPS)),
        }

    def ask(self, audit: AuditContext, parts: Sequence[Part]) -> Part:
        """Looks again at the concept that stands out, on the other half of the images."""
        again = self._again(audit, parts)
        dictionary = Dictionary(again.dictionary.astype(np.float64), again.channels)
        settings, concept = self._settings(audit), again.chosen.concept
        try:
            return second_look(audit, settings, dictionary, concept, again.donors, self.confirm)
        except Untried as error:
            raise NotApplicable(
                f"Expected to look again at {audit.classes[again.chosen.label]!r}, which stands "
                f"out, on the other half of the data, got {error}. Give more images."
            ) from error

    def ask_form(self, audit: AuditContext, parts: Sequence[Part]) -> dict[str, Array]:
        others, images = UpTo(self.confirm, "others"), UpTo(self.donors, "images")
        reads = Array("int", (others,), 0, len(audit.classes) - 1)
        kept = Array("int", (images,), 0, 1)
        return {
            "read": reads,
            "read_null": reads,
            "strongest": Array("int", (images,), 0),
            "kept": kept,
            "kept_null": kept,
        }

    def _again(self, audit: AuditContext, parts: Sequence[Part]) -> _Again:
        """The concept that stands out. Raises NotApplicable if no class could be tried."""
        labels, half = _labels(parts), self._halves(audit)[1]
        tried = screened(parts, labels)
        if not tried:
            reasons = sorted({WHY[state_of(part)] for part in parts})
            raise NotApplicable(
                f"Expected a class that can be tried, got none: {'; '.join(reasons)}."
            )
        chosen = max(tried, key=lambda one: one.lift)
        part = parts[labels.index(chosen.label)]
        return _Again(
            chosen,
            part["dictionary"],
            int(part["channels"]),
            int(part["common"][chosen.concept]),
            np.sort(half.donors(audit, chosen.label, self.donors)),
        )

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        *looked, answers = parts
        again, labels = self._again(audit, looked), _labels(looked)
        found = measured(looked, again.chosen, again.common, answers)
        spent = [self._passes(len(part["index"]), *part["read"].shape) for part in looked]
        return Evidence(
            check=self.name,
            sentence=sentence(audit.classes, again.chosen, looked, found),
            metrics=found,
            images=images_table(looked),
            tables={
                "concepts": concepts_table(looked, labels, audit.classes),
                "classes": classes_table(looked, labels, audit.classes),
            },
            pictures=pictures(self.name, audit, looked, labels),
            legend=LEGEND,
            passes=sum(spent) + _PASSES * (len(again.donors) + len(answers["read"])),
        )


def _labels(parts: Sequence[Part]) -> list[int]:
    return [int(part["label"][0]) for part in parts]
