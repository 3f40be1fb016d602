"""SufficientPatches: how few patches of an image are enough for the model's answer?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.maps import USUAL_PATCHES, eighth
from audits.checks._sufficient_patches.figures import (
    COLUMN_WORDS,
    classes_table,
    declared,
    measured,
    sentence,
    table_of_images,
    with_regions,
)
from audits.checks._sufficient_patches.learned import (
    LEAST_IMAGES,
    Parted,
    own_training,
    parted,
    training_passes,
    with_training,
)
from audits.checks._sufficient_patches.pictures import LEGEND, STEPS, pictures, shown
from audits.checks._sufficient_patches.trial import (
    OrderName,
    Search,
    trial,
    trial_form,
)
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.imageset import ImageSet
from audits.data.regions import Regions
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count, PlaceName, Share
from fillblanks.attribution.gates import STEPS as GATE_STEPS
from fillblanks.concepts.learned_gates import STEPS as TRAINING_STEPS
from fillblanks.masks import grid_shape

_UNIT_VALUES = 500_000_000  # in all views of a unit's images: seconds to a few minutes
_UNIT_IMAGES = 64
_MOST_STEPS = 100_000
_TRAINING_IMAGES, _MOST_TRAINING_IMAGES = 500, 100_000


class SufficientPatches(Check):
    """The fewest patches of an image that bring the same answer as the whole image.

    Patches are taken in an order, the most needed first, until the image with all other patches
    blank has the same class and nearly the same probabilities: a Kullback-Leibler divergence of at
    most `divergence`. The order is found by `gates`, one for each patch of each image, which close
    as far as the answer stays (the question of Vision DiffMask, Nalmpantis et al. 2023, arXiv
    2304.06391, asked of any network with a gradient), or by `occlusion`, which takes no gradient.
    `best` tries both and takes the one with fewer patches; of a black box it takes occlusion. For
    `learned` small networks give the gates, as in that publication: they see the inside of the
    model, and images that are not judged train them.

    No order is trusted: whichever number of patches is told was tried, with the others wholly
    blank. It is an upper limit, since other patches may be fewer. The null is a random order of the
    patches of the same image, verified in the same way; if two orders are tried, it is the better
    of two random ones. If the patches are not fewer than that, no figure of them is judged.

    Images that the model names as an image that is wholly blank need no patch. They are left out,
    and so are images for which the model gives NaN or infinity: they have no class.

    If a folder of `regions` says where the objects are, the check also says how much of the patches
    lies in them.
    """

    kind: Literal["sufficient_patches"] = "sufficient_patches"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "probabilities"
    places: ClassVar[tuple[str, ...]] = ("regions",)
    plain_name: ClassVar[str] = "Patches that are enough for an answer"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The model is shown fewer and fewer patches of an image, as long as its answer stays the "
        "same. The fewest patches that were found are shown; each was tried with all others blank.",
        "One or two patches that are enough for a class may be a mark, a logo or a corner of the "
        "background: look at them. Many patches mean that the answer rests on the whole image.",
        "Enough is not needed: the last picture says whether the model gives the same answer "
        "without these patches.",
        "Fewer patches than these may be enough too; no search finds the fewest for sure.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    order: OrderName = Field(
        default="best",
        description="best, gates (needs a gradient), occlusion, or learned (a trial; see its page)",
    )
    patch_size: Count | None = Field(
        default=None, description="pixels; default an eighth of the shorter side"
    )
    divergence: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.1, description="nats, by which the probabilities may differ at most"
    )
    steps: Annotated[int, Field(ge=1, le=_MOST_STEPS)] | None = Field(
        default=None,
        description="of the descent that finds gates, default 100; for learned, of the training of "
        "the networks that give them, default 1000",
    )
    training_images: Annotated[int, Field(ge=LEAST_IMAGES, le=_MOST_TRAINING_IMAGES)] | None = (
        Field(
            default=None,
            description="for learned: images that train the networks that give gates, and are not "
            "judged; default 500, at most half of all if `images` is not given",
        )
    )
    blank_value: Share | Literal["mean"] = Field(
        default="mean", description="a number in [0, 1], or the mean by which images are normalised"
    )
    regions: PlaceName | None = Field(
        default=None,
        description="a folder of masks, named like the images: white is what the answer is to rest "
        "on",
    )

    @model_validator(mode="after")
    def _only_its_own(self) -> Self:
        if self.training_images is not None and self.order != "learned":
            raise ValueError(f"expected training_images for learned, got {self.order}")
        return self

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared(bool(self.regions))

    def captions(self) -> tuple[str, ...]:
        return tuple(STEPS.values())

    def settled(self, shape: tuple[int, int, int]) -> Self:
        own = {"patch_size": self.patch_size or eighth(shape), "steps": self._steps}
        if self._learns:
            own["training_images"] = self.training_images or _TRAINING_IMAGES
        return self.model_copy(update=own)

    @property
    def _learns(self) -> bool:
        return self.order == "learned"

    @property
    def _steps(self) -> int:
        return self.steps or (TRAINING_STEPS if self._learns else GATE_STEPS)

    def _search(self, shape: tuple[int, int, int]) -> Search:
        size = self.patch_size or eighth(shape)
        return Search(self.order, size, self.divergence, self._steps, self.blank_value)

    def _parted(self, audit: AuditContext) -> Parted:
        return parted(audit, self.images, self.training_images or _TRAINING_IMAGES)

    def sampled(self, audit: AuditContext) -> np.ndarray:
        return self._parted(audit).judged if self._learns else super().sampled(audit)

    def impossible(self, shape: tuple[int, int, int]) -> str:
        if self._patches(shape) > 1:
            return ""
        return (
            f"{self.name}: Expected a patch_size that divides an image of {shape[1]}x{shape[2]} "
            f"into 2 patches or more, got {self._search(shape).patch_size}."
        )

    def _patches(self, shape: tuple[int, int, int]) -> int:
        return math.prod(grid_shape(*shape[1:], self._search(shape).patch_size))

    def unit_images(self, audit: AuditContext) -> int:
        _, most = self._passes(audit)
        return max(1, min(_UNIT_IMAGES, _UNIT_VALUES // (math.prod(audit.shape) * most)))

    def units(self, audit: AuditContext) -> list[Unit]:
        least, most = self._passes(audit)
        cell = (("passes", least), ("most_passes", most))
        found = [replace(unit, cell=cell) for unit in super().units(audit)]
        if not self._learns:
            return found
        return with_training(audit, found, self._parted(audit).training, self._steps)

    def _passes(self, audit: AuditContext) -> tuple[int, int]:
        """The least and the largest number of passes for one image."""
        return self._search(audit.shape).passes(self._patches(audit.shape))

    def outside(self, images: ImageSet) -> dict[str, str]:
        if not self.regions:
            return {}
        return {"regions_sha256": Regions(self.regions, images).digest(range(len(images)))}

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # What the model was asked does not depend on the masks. A unit has the digest of the images
        # that train gates.
        apart = {"images", "label", "regions", "training_images"}
        return self.model_dump(mode="json", exclude=apart)

    def passes(self, images: int) -> int:
        return images * self._without_shape[0] + self._training_passes

    def most_passes(self, images: int) -> int:
        return images * self._without_shape[1] + self._training_passes

    @property
    def _training_passes(self) -> int:
        return training_passes(self._steps) if self._learns else 0

    @property
    def _without_shape(self) -> tuple[int, int]:
        return self._search((1, self.patch_size or 1, self.patch_size or 1)).passes(USUAL_PATCHES)

    def unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * int(dict(unit.cell)["passes"]) + own_training(unit)

    def most_unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * int(dict(unit.cell)["most_passes"]) + own_training(unit)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        found = trial(audit, unit, self._search(audit.shape), self._parted(audit).training)
        return {**found.part, **shown(audit, unit, found.views)}

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return {
            **columns_form(audit, unit, "read", "alone", "rest"),
            **trial_form(unit, self._patches(audit.shape)),
            **shown_form(audit, unit, len(STEPS)),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of_images(parts)
        if self.regions:
            regions = Regions(self.regions, audit.images)
            size = self._search(audit.shape).patch_size
            table = table.assign(**with_regions(audit, parts, regions, size))
        metrics = measured(table)
        return Evidence(
            check=self.name,
            sentence=sentence(table, metrics, audit.classes),
            metrics=metrics,
            images=table.sort_index(),
            tables={"classes": classes_table(parts, table, audit.classes)},
            pictures=pictures(self.name, audit, parts, table, self.shown_image),
            legend=LEGEND,
            passes=sum(int(part["passes"]) for part in parts),
        )
