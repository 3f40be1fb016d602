"""EvidenceMaps: where does the model look, and does that hold?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd
from pydantic import Field

from audits.checks._evidence.figures import (
    COLUMN_WORDS,
    declared,
    figures_table,
    has_sanity,
    images_columns,
    measured,
    sentence,
)
from audits.checks._evidence.pictures import STEPS, legend, pictures, shown
from audits.checks._evidence.regions import (
    backgrounds_form,
    before_backgrounds,
    declared_in_regions,
    measured_in_regions,
    region_columns,
    regions_cell,
    regions_told,
)
from audits.checks._evidence.trial import (
    expect_subsets,
    faithfulness_passes,
    trial,
    trial_form,
)
from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.map_check import MapCheck
from audits.checks._shared.maps import Method
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.imageset import ImageSet
from audits.data.regions import Regions, Told
from audits.errors import AuditError
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric

_UNIT_VALUES = 100_000_000  # in all masked images of a unit: some seconds to a few minutes
_UNIT_IMAGES = 64


class EvidenceMaps(MapCheck):
    """Maps of the patches on which the model's answers rest, and whether these maps hold.

    The map of an image is of the class that the model gives it. `blank_difference` is the
    probability if a patch can be seen minus that if it is blank, from random masks: those of
    `random_fill`, if the mask ratio and the patch size are equal; draws that a fill rejects count
    as well. `occlusion`, `pami` and `sobol` are offered beside it. None needs a gradient.

    A map is a claim about the model, so it is tested: patches are hidden (deletion) and shown
    (insertion) in its order, and its sums are compared with what hiding random subsets costs
    (muFidelity), each on black and on the blurred image, since methods change places between the
    two. The nulls are a random map and a map of the centre, for the same images. Maps that are not
    better than both tell nothing, and no figure that rests on them is judged.

    If `regions` say where the objects are, the check also says how much of the
    evidence lies in them, and how often the model is right if backgrounds are exchanged.

    With permuted weights the maps should be others (Adebayo et al. 2018, arXiv 1810.03292). A model
    without weights has no such figure, nor has one most of whose maps have one value everywhere.
    """

    kind: Literal["evidence"] = "evidence"
    version: ClassVar[int] = 4
    places: ClassVar[tuple[str, ...]] = ("regions",)
    plain_name: ClassVar[str] = "Where the model looks"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "A map says of each patch of an image how much the model's answer rests on it. It tells "
        "what matters to the model, and not whether that is right.",
        "Each map is tested: the patches that it marks are hidden first, or shown first. If the "
        "model's probability does not fall and rise faster than in a random order, and than from "
        "the centre, the map tells nothing, and no figure that rests on it is judged.",
        "The maps of the same network with permuted weights should be others: maps that stay do "
        "not show what the model has learnt.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    regions: Annotated[Told, Field(union_mode="left_to_right")] | None = Field(
        default=None,
        description="what the answer is to rest on: a folder of masks, named like the images and "
        "white there; or four columns of the data's table with boxes, [left, top, right, bottom]",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared() | (declared_in_regions() if self.regions else {})

    def captions(self) -> tuple[str, ...]:
        return tuple(STEPS.values())

    def _expect(self, method: Method, height: int, width: int) -> None:
        super()._expect(method, height, width)
        expect_subsets(method.patches(height, width))

    def unit_images(self, audit: AuditContext) -> int:
        values = math.prod(audit.shape) * self._passes(self.map_passes(audit), maps=2)
        return max(1, min(_UNIT_IMAGES, _UNIT_VALUES // values))

    def units(self, audit: AuditContext) -> list[Unit]:
        cell: tuple[tuple[str, Any], ...] = (("passes", self.map_passes(audit)),)
        if self.regions:
            cell += regions_cell(audit, self._regions(audit.images), self.chosen(audit))
        return [replace(unit, cell=cell) for unit in super().units(audit)]

    def _regions(self, images: ImageSet) -> Regions:
        assert self.regions is not None
        return Regions(self.regions, images)

    def outside(self, images: ImageSet) -> dict[str, str]:
        if not self.regions:
            return {}
        return {"regions_sha256": self._regions(images).digest(range(len(images)))}

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # The unit has a digest of the masks, wherever they are.
        return super().unit_identity(unit) | {"regions": bool(self.regions)}

    def _passes(self, of_map: int, *, maps: int) -> int:
        """Passes for one image of which `maps` maps are made, by `of_map` passes each."""
        backgrounds = 2 if self.regions else 0
        return 1 + faithfulness_passes() + maps * of_map + backgrounds

    def passes(self, images: int) -> int:
        return images * self._passes(self.least_map_passes, maps=1)

    def most_passes(self, images: int) -> int:
        return images * self._passes(self.most_map_passes, maps=2)

    def unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * self._passes(dict(unit.cell)["passes"], maps=1)

    def most_unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * self._passes(dict(unit.cell)["passes"], maps=2)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        found = trial(audit, unit, self.method_for(audit.shape))
        part = {**found.part, **shown(audit, unit, found.maps)}
        if not self.regions:
            return part
        regions, chosen = self._regions(audit.images), self.chosen(audit)
        if not set(regions_cell(audit, regions, chosen)) <= set(unit.cell):
            raise AuditError(
                f"Expected images and regions of {audit.images.name} to stay as they were when the "
                "audit began, but they have changed. Run the audit again."
            )
        return part | before_backgrounds(audit, unit, regions, chosen)

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        patches = self.method_for(audit.shape).patches(*audit.shape[1:])
        return {
            **columns_form(audit, unit, "read"),
            **(backgrounds_form(audit, unit) if self.regions else {}),
            **trial_form(audit, unit, patches),
            **shown_form(audit, unit, len(STEPS)),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        found, columns = measured(parts), images_columns(parts)
        told = sentence(parts, found)
        if self.regions:
            size = self.method_for(audit.shape).patch_size
            of_regions = region_columns(audit, parts, self._regions(audit.images), size)
            found |= measured_in_regions(of_regions, columns["label"])
            columns |= of_regions
            told = f"{told} {regions_told(found)}"
        table = pd.DataFrame(columns).set_index("index").sort_index()
        maps = 2 if has_sanity(parts) else 1
        return Evidence(
            check=self.name,
            sentence=told,
            metrics=found,
            images=table,
            tables={"figures": figures_table(parts)},
            pictures=pictures(self.name, audit, parts, table, self.shown_image),
            legend=legend(self.method),
            passes=len(table) * self._passes(self.map_passes(audit), maps=maps),
        )
