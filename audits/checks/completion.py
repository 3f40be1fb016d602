"""Completion: fills blanks in many steps, and asks an independent network for their class."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from audits.checks._completion.figures import (
    OWN_COLUMNS,
    READ,
    REFERENCE_COLUMNS,
    captions,
    declared,
    measured,
    seen,
    sentence,
    with_differences,
)
from audits.checks._completion.other_orders import ORDERS, chance, told_apart
from audits.checks._shared.fill import table_of
from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.images import picture, sliders
from audits.checks._shared.prior import images_beside, spectrum_of, told_beside, with_spectrum
from audits.checks._shared.readings import Readings, readings
from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count, Ratio
from fillblanks import Recipe, complete
from fillblanks.masks import blank_count, grid_shape, keys

_UNIT_VALUES = 100_000_000  # in all passes of a unit, some seconds to a minute
_UNIT_IMAGES = 256
_FOIL_DRAW = -5  # masks use keys of the draws 0, 1, ...
_MOST_STEPS = 10_000


class Completion(Check):
    """Blanks of images, filled for their class and for another class, read by the reference.

    Each image is completed twice, with the same blanks and the same random numbers: for its label,
    and for its foil, another class that the seed draws. The reference, an independent network,
    reads both. `forced_choice` is the share of images for which its logit of the label, minus that
    of the foil, is larger for the fill that was asked for the label. Networks that draw nothing
    which the reference knows have .5 on average; `other_orders` says how far one of them may be
    from it. Without a reference the check has pictures, and no figure to judge: the model reads its
    own fills as it was asked to, whether they mean something or not.

    The fill is not that of the paper, see `fillblanks.complete`. It works on networks that were
    trained without noise, whose single updates are specks.
    """

    kind: Literal["completion"] = "completion"
    version: ClassVar[int] = 2
    plain_name: ClassVar[str] = "Blanks completed"
    shows_fills: ClassVar[bool] = True
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Parts of each image are blanked. In many small steps the blanks are filled so that the "
        "model finds the image's class likelier, and a second time for another class.",
        "The reference, a network that was trained apart from the model, then reads both. If it "
        "can tell which fill was asked for which class, the model has learnt how classes look.",
        "By chance, half of the images are told apart on average. The lift is above chance only if "
        "few other orders of the reference's classes tell as many apart, and never with fewer than "
        "five classes.",
        "The null of the other figures is the picture before the first step: blanks interpolated "
        "smoothly.",
        "The model reads its own fills right even if they are nonsense: that figure is not judged.",
    )
    legend: ClassVar[tuple[str, ...]] = (
        "One image a class. Visible parts are as in the image; the reference, if there is one, "
        "reads the pictures, else the model.",
    )
    images: Count | None = Field(
        default=50,
        description="audit a sample of this many images, evenly over the classes and drawn by the "
        "seed",
    )
    patch_size: Count | None = Field(
        default=None,
        description="pixels; default an eighth of the shorter side, a quarter up to 64 pixels",
    )
    mask_ratio: Ratio | None = Field(
        default=None, description="share of patches that are blank; default .75, .5 up to 64 pixels"
    )
    steps: Annotated[int, Field(ge=1, le=_MOST_STEPS)] = 32
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=1 << 63,
        description="of blanks, foils and steps; default the audit's",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared(reference)

    def captions(self) -> tuple[str, ...]:
        return captions(self.mask_ratio)

    def settled(self, shape: tuple[int, int, int]) -> Self:
        recipe = self._recipe(shape)
        found = {"patch_size": recipe.patch_size, "mask_ratio": recipe.mask_ratio}
        return self.model_copy(update=found)

    def _recipe(self, shape: tuple[int, int, int]) -> Recipe:
        return Recipe.of(
            *shape[1:], patch_size=self.patch_size, mask_ratio=self.mask_ratio, steps=self.steps
        )

    def impossible(self, shape: tuple[int, int, int]) -> str:
        recipe = self._recipe(shape)
        rows, columns = grid_shape(*shape[1:], recipe.patch_size)
        try:
            blank_count(recipe.mask_ratio, rows * columns)
        except ValueError as error:
            size = f"{shape[1]}x{shape[2]}"
            return f"{self.name}, patch_size {recipe.patch_size} on images of {size}: {error}"
        return ""

    def unit_images(self, audit: AuditContext) -> int:
        images = _UNIT_VALUES // (math.prod(audit.shape) * self.passes(1))
        return max(1, min(_UNIT_IMAGES, images))

    def units(self, audit: AuditContext) -> list[Unit]:
        return with_spectrum(audit, super().units(audit), images_beside(audit, self.chosen(audit)))

    def passes(self, images: int) -> int:
        return 2 * images * self.steps

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        images = audit.images.tensor(unit.indices)
        indices = torch.tensor(unit.indices)
        labels = torch.from_numpy(audit.images.labels[list(unit.indices)])
        foils = self._foils(audit, indices, labels)
        completed = partial(
            complete,
            audit.classifier,
            images,
            spectrum=spectrum_of(audit, unit, images_beside(audit, self.chosen(audit))),
            seed=self._seed(audit),
            indices=indices,
            recipe=self._recipe(audit.shape),
            plan=audit.plan,
        )
        asked, other = completed(labels=labels), completed(labels=foils)
        pictures = {
            "photograph": images,
            "masked": images * ~asked.blank,
            "smooth": asked.start,
            "foil": other.image,
            "completed": asked.image,
        }
        by = audit.reference or audit.classifier
        read = {name: readings(audit, given, by) for name, given in pictures.items()}
        own = read["completed"]
        if audit.reference is not None:
            own = readings(audit, asked.image, audit.classifier)
        part = {
            "index": indices.numpy(),
            "label": labels.numpy(),
            "foil": foils.numpy(),
            "own": np.exp(own.of(labels)),
            **_told(read, labels, foils),
            **_shown(unit, labels, pictures),
        }
        if audit.reference is None:
            return part
        return part | {
            "gap_label": read["completed"].gap(labels, foils),
            "gap_foil": read["foil"].gap(labels, foils),
            "probability": np.exp(read["completed"].of(labels)),
            "probability_start": np.exp(read["smooth"].of(labels)),
            "foil_probability": np.exp(read["foil"].of(foils)),
            "foil_probability_start": np.exp(read["smooth"].of(foils)),
            "in_other_orders": told_apart(read["completed"], read["foil"], labels, foils),
        }

    def _seed(self, audit: AuditContext) -> int:
        return audit.seed if self.seed is None else self.seed

    def _foils(
        self, audit: AuditContext, indices: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Another class for each image, each equally likely, int64 (n,)."""
        drawn = keys(self._seed(audit), indices, torch.full_like(indices, _FOIL_DRAW), 1)[:, 0]
        count = len(audit.classes)
        return (labels + 1 + drawn.remainder(count - 1)) % count

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, count = len(unit.indices), len(audit.classes)
        form = {
            **columns_form(audit, unit, *(f"read_{name}" for name in READ)),
            "foil": Array("int", (n,), 0, count - 1),
            "own": Array("float", (n,), 0, 1),
            **{f"sure_{name}": Array("float", (n,), 0, 1) for name in READ},
            **{f"place_{name}": Array("int", (n,), 1, count) for name in READ},
            **shown_form(audit, unit, len(READ)),
        }
        if not audit.with_reference:
            return form
        gaps = {"gap_label", "gap_foil"}
        return form | {
            **{name: Array("float", (n,)) for name in gaps},
            **{name: Array("float", (n,), 0, 1) for name in REFERENCE_COLUMNS if name not in gaps},
            "in_other_orders": Array("float", (ORDERS,), 0, n),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        with_reference = "gap_label" in parts[0]
        table = table_of(parts, OWN_COLUMNS + (REFERENCE_COLUMNS if with_reference else ()))
        by_chance = None
        if with_reference:
            table = with_differences(table)
            orders = np.sum([part["in_other_orders"] for part in parts], axis=0)
            by_chance = chance(orders / len(table), len(table))
        recipe = self._recipe(audit.shape)
        found = measured(table, by_chance)
        return Evidence(
            check=self.name,
            sentence=sentence(len(table), found, recipe.mask_ratio, len(audit.classes)),
            metrics=found,
            images=table,
            pictures=sliders(
                parts,
                self.name,
                "",
                audit.classes,
                captions(recipe.mask_ratio),
                lambda label: seen(table, self.shown_image(audit, label), label),
            ),
            legend=(*self.legend, told_beside(audit, self.chosen(audit))),
            passes=self.passes(len(table)),
        )


def _told(read: dict[str, Readings], labels: torch.Tensor, foils: torch.Tensor) -> Part:
    columns: Part = {}
    for name, found in read.items():
        columns[f"read_{name}"] = found.predicted
        columns[f"sure_{name}"] = found.probability
        columns[f"place_{name}"] = found.rank(foils if name == "foil" else labels)
    return columns


def _shown(unit: Unit, labels: torch.Tensor, pictures: dict[str, torch.Tensor]) -> Part:
    rows = np.flatnonzero(np.isin(unit.indices, unit.shown))
    steps = [np.stack([picture(given[i]) for given in pictures.values()]) for i in rows]
    none = np.zeros((0, len(pictures), 0, 0, 3), np.uint8)
    return {
        "shown_label": labels.numpy()[rows],
        "shown": np.stack(steps) if steps else none,
    }
