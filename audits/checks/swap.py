"""Swap: does a small piece of one class turn other images into it?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.halves import Half, donor_units, expect_pool, halves, pool_cell
from audits.checks._shared.several import Sizes
from audits.checks._swap.figures import (
    COLUMN_WORDS,
    Again,
    declared,
    donors_table,
    measured,
    screened,
    screened_table,
    sentence,
)
from audits.checks._swap.pictures import CAPTIONS, EXAMPLE, LEGEND, example, pictures
from audits.checks._swap.trial import Method, Piece, trial
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count
from fillblanks.attribution.favourites import Chooser
from fillblanks.attribution.windows import window_places

_SMALL = 64  # pixels of the shorter side up to which one size of patch is tried
_PASSES = 6  # a donor: to choose its patch, with gradient; other images before and after; the null


class Swap(Check):
    """Other images that turn into a class when a small piece of the class is put into them.

    For each class, some images are donors: the patch of each on which the model relies most for the
    class is pasted, at its place, into an image of another class. If most of these images turn into
    the class, the model takes that patch for the class: a watermark, a logo, a date. The null is a
    patch of the same donors at a random place, in the same images.

    Half of the data screens all classes. The class that stands out most is a selection, so it is
    looked at again, with other donors and other images: only these figures are judged. The idea of
    a transplanted patch is that of Brown et al. 2017 (arXiv 1712.09665), with patches of the data.

    With `what: colour` the images get the mean of each channel of the donor: a tint is found.

    The check sees what the audit's images carry. If the images come from another source than those
    of the training, marks of the training are not in them.
    """

    kind: Literal["swap"] = "swap"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    asks_at_the_end: ClassVar[bool] = True
    needs: ClassVar[Needs] = "probabilities"
    plain_name: ClassVar[str] = "Pieces of one class in images of others"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "From images of each class the patch is cut out on which the model relies most. It is "
        "pasted into images of other classes, at the same place.",
        "If most of these turn into the class, and random patches of the same images do not turn "
        "them, a small piece is enough for the model: look whether it is a mark or the object.",
        "The class that stands out is looked at again with images that were not used before. The "
        "figures are of this second look.",
        "Marks are found only if the audit's images carry them, as those of the training did.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    patch_size: Sizes | None = Field(
        default=None,
        description="pixels, one number or several; default a quarter of the shorter side, from "
        "65 pixels an eighth too",
    )
    stride: Count | None = Field(
        default=None, description="pixels between two patches; default half a patch"
    )
    donors: Annotated[int, Field(ge=1, le=500)] = Field(
        default=50, description="images of each class that screen it, half of its images at most"
    )
    confirm: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=200, description="pieces that confirm the class that stands out"
    )
    chooser: Chooser | None = Field(
        default=None,
        description="how the patch is chosen: gradient, or occlusion, which needs no gradient and "
        "a pass for each place; default gradient if the model has one",
    )
    what: Piece = Field(default="patch", description="patch or colour")

    @model_validator(mode="after")
    def _only_of_patches(self) -> Self:
        if self.what == "colour" and (self.patch_size or self.stride or self.chooser):
            raise ValueError(
                "expected patch_size, stride and chooser for what: patch alone, got what: colour"
            )
        return self

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared(self.what)

    def captions(self) -> tuple[str, ...]:
        return CAPTIONS[self.what]

    def settled(self, shape: tuple[int, int, int]) -> Self:
        if self.what == "colour":
            return self
        return self.model_copy(update={"patch_size": self._sizes(shape)})

    def _sizes(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        if self.what == "colour":
            return (0,)  # a colour has no size
        if self.patch_size is not None:
            return self.patch_size
        side = min(shape[1:])
        return tuple(max(1, side // part) for part in ((4,) if side <= _SMALL else (8, 4)))

    def impossible(self, shape: tuple[int, int, int]) -> str:
        for size in self._sizes(shape) if self.what == "patch" else ():
            try:
                window_places(*shape[1:], size, self._stride(size))
            except ValueError as error:
                return f"{self.name}, patch_size {size}: {error}"
        return ""

    def _stride(self, size: int) -> int:
        return self.stride or max(1, size // 2)

    def unit_images(self, audit: AuditContext) -> int:
        return self.donors

    def units(self, audit: AuditContext) -> list[Unit]:
        """A unit for each size and class; its images are the donors.

        Other images of the data set get the pieces, so a unit names the digest of all.
        """
        half, pool = self._halves(audit)[0], pool_cell(audit, self.chosen(audit))
        shown = {int(audit.images.labels[i]) for i in self._first_of_classes(audit)}
        found: list[Unit] = []
        for size in self._sizes(audit.shape):
            cell = (*pool, ("size", size), ("places", self._places(audit.shape, size)))
            found += donor_units(audit, half, self.donors, shown, cell)
        return [replace(unit, number=number) for number, unit in enumerate(found)]

    def _halves(self, audit: AuditContext) -> tuple[Half, Half]:
        return halves(audit, self.chosen(audit))

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # The figures of a class do not depend on how many pieces confirm another one.
        return self.model_dump(mode="json", exclude={"images", "label", "confirm", "patch_size"})

    def passes(self, images: int) -> int:
        return _PASSES * images

    def most_unit_passes(self, unit: Unit) -> int:
        tried = 0 if self.chooser == "gradient" else dict(unit.cell)["places"]
        return (_PASSES + tried) * len(unit.indices)

    def _places(self, shape: tuple[int, int, int], size: int) -> int:
        """How many places of a patch there are in an image."""
        return len(window_places(*shape[1:], size, self._stride(size))) if size else 0

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        cell = dict(unit.cell)
        expect_pool(audit, self.chosen(audit), unit)
        donors, half = np.array(unit.indices), self._halves(audit)[0]
        label = int(audit.images.labels[donors[0]])
        found = trial(audit, half, label, donors, 1, self._method(audit, cell["size"]))
        nothing = np.full(len(donors), -1)
        part: Part = {
            "index": donors,
            "label": audit.images.labels[donors],
            "size": np.array(cell["size"]),
            "recipient": nothing if found is None else found.recipients,
            "read": nothing if found is None else found.read,
            "read_random": nothing if found is None else found.read_random,
            **example(audit, unit, found, cell["size"]),
        }
        if self.what == "patch":
            places = None if found is None else found.places
            part["place"] = np.full((len(donors), 2), -1) if places is None else places.numpy()
        return part

    def _method(self, audit: AuditContext, size: int) -> Method:
        chooser = self.chooser
        if chooser is None:
            first = audit.classifier.to_input(audit.images.tensor([0]))
            chooser = "gradient" if audit.classifier.has_gradient(first) else "occlusion"
        return Method(self.what, size, self._stride(size), chooser)

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, last, size = len(unit.indices), len(audit.images) - 1, dict(unit.cell)["size"]
        form = {
            **columns_form(audit, unit, "read", "read_random"),
            "size": Array("int", (), size, size),
            "recipient": Array("int", (n,), -1, last),
            **shown_form(audit, unit, len(EXAMPLE)),
        }
        return form | self._place_form(audit, n, -1)

    def _place_form(self, audit: AuditContext, n: int, least: int) -> dict[str, Array]:
        if self.what == "colour":
            return {}
        return {"place": Array("int", (n, 2), least, max(audit.shape[1:]) - 1)}

    def ask(self, audit: AuditContext, parts: Sequence[Part]) -> Part:
        """Looks again at the class that stands out, on the other half of the images."""
        again = self._again(audit, parts)
        half, method = self._halves(audit)[1], self._method(audit, again.chosen.size)
        found = trial(audit, half, again.chosen.label, again.donors, again.tries, method)
        if found is None:
            raise NotApplicable(
                "Expected images of other classes that the model does not name "
                f"{audit.classes[again.chosen.label]!r}, got none in half of the data."
            )
        part: Part = {"read": found.read, "read_random": found.read_random}
        return part if found.places is None else part | {"place": found.places.numpy()}

    def ask_form(self, audit: AuditContext, parts: Sequence[Part]) -> dict[str, Array]:
        again = self._again(audit, parts)
        n, last = len(again.donors) * again.tries, len(audit.classes) - 1
        form = {name: Array("int", (n,), -1, last) for name in ("read", "read_random")}
        return form | self._place_form(audit, n, 0)

    def _again(self, audit: AuditContext, parts: Sequence[Part]) -> Again:
        """The class that stands out, and the donors that look at it again.

        Raises NotApplicable if no class can be looked at twice.
        """
        half = self._halves(audit)[1]
        able = [one for one in screened(parts) if len(half.donors(audit, one.label, self.confirm))]
        if not able:
            raise NotApplicable(
                "Expected at least two images of a class, and images of others that the model does "
                "not name so, got none. Give more images."
            )
        chosen = max(able, key=lambda one: one.lift)
        donors = half.donors(audit, chosen.label, self.confirm)
        return Again(chosen, donors, -(-self.confirm // len(donors)))

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        *looked, answers = parts
        again = self._again(audit, looked)
        found = measured(self.what, looked, again, answers)
        return Evidence(
            check=self.name,
            sentence=sentence(self.what, audit.classes, again, answers, found),
            metrics=found,
            images=donors_table(looked),
            tables={"classes": screened_table(looked, audit.classes)},
            pictures=pictures(self.name, self.what, audit, looked, again.chosen),
            legend=LEGEND[self.what],
            passes=_PASSES * (sum(len(part["index"]) for part in looked) + len(answers["read"])),
        )
