"""HumanMapsCheck: does the model look where people look?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from audits.checks._human_maps.figures import (
    COLUMN_WORDS,
    compared,
    declared,
    figures_table,
    images_columns,
    measured,
    sentence,
)
from audits.checks._human_maps.pictures import STEPS, legend, pictures
from audits.checks._shared.fill import recognise
from audits.checks._shared.forms import columns_form
from audits.checks._shared.map_check import MapCheck
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.human_maps import HumanMaps
from audits.data.imageset import ImageSet
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import PlaceName
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.patch_means import patch_means

_UNIT_VALUES = 100_000_000  # in all masked images of a unit: some seconds to a few minutes
_UNIT_IMAGES = 64


class HumanMapsCheck(MapCheck):
    """The model's maps of evidence beside maps that say where people look, one for each image.

    The model's map is of the image's label. It is compared, as means of patches, by Spearman's rank
    correlation, and by Dice and the intersection over union of the highest 10 % of both (Fel et al.
    2022, arXiv 2211.04533). People look at the middle of most images, and so does a map that is
    always of the centre: the null are the maps by people of all other images, in pairs.

    The process of the model has no access to the maps by people.
    """

    kind: Literal["human_maps"] = "human_maps"
    version: ClassVar[int] = 1
    plain_name: ClassVar[str] = "Does the model look where people look?"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "People have marked where they look in each image. The model's map says on which patches "
        "its answer rests. The two are compared image by image.",
        "Maps of any two images agree if all objects stand in the middle. Only the lift over the "
        "maps by people of other images says that the model looks where people look in this one.",
        "A low figure is no fault by itself: a model may be right by other means than people. See "
        "where it looks instead.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    own_places: ClassVar[tuple[str, ...]] = ("maps",)
    maps: PlaceName = Field(
        description="a folder of maps, named like the images: grey pictures, light where people "
        "look, or arrays (npy)",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared()

    def captions(self) -> tuple[str, ...]:
        return tuple(STEPS.values())

    def outside(self, images: ImageSet) -> dict[str, str]:
        return {"maps_sha256": HumanMaps(self.maps, images).digest(range(len(images)))}

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # A part has the model's maps alone.
        return {name: one for name, one in super().unit_identity(unit).items() if name != "maps"}

    def unit_images(self, audit: AuditContext) -> int:
        values = math.prod(audit.shape) * (1 + self.map_passes(audit))
        return max(1, min(_UNIT_IMAGES, _UNIT_VALUES // values))

    def units(self, audit: AuditContext) -> list[Unit]:
        HumanMaps(self.maps, audit.images)  # before the model is asked for hours
        cell = (("passes", 1 + self.map_passes(audit)),)
        return [replace(unit, cell=cell) for unit in super().units(audit)]

    def passes(self, images: int) -> int:
        return images * (1 + self.least_map_passes)

    def most_passes(self, images: int) -> int:
        return images * (1 + self.most_map_passes)

    def unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * int(dict(unit.cell)["passes"])

    def most_unit_passes(self, unit: Unit) -> int:
        return self.unit_passes(unit)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        method, classifier = self.method_for(audit.shape), audit.classifier
        images = classifier.to_input(audit.images.tensor(unit.indices))
        labels = audit.images.labels[list(unit.indices)]
        read = recognise(audit, images, torch.ones(len(images), dtype=torch.bool))
        with classifier.steady():
            maps = method.maps(
                probabilities_of(classifier),
                images,
                torch.from_numpy(labels).to(images.device),
                seed=audit.seed,
                indices=torch.tensor(unit.indices, device=images.device),
                chunk=audit.plan.chunk,
            )
        values = patch_means(maps, method.patch_size).cpu().numpy()
        return {
            "index": np.array(unit.indices),
            "label": labels,
            "read": read,
            "map": np.where(read[:, None] >= 0, values, 0),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        patches = self.method_for(audit.shape).patches(*audit.shape[1:])
        own = Array("float", (len(unit.indices), patches), -1)
        return {**columns_form(audit, unit, "read"), "map": own}

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        people, method = HumanMaps(self.maps, audit.images), self.method_for(audit.shape)
        found = compared(parts, people, audit.shape[1:], method.patch_size)
        metrics = measured(found)
        table = pd.DataFrame(images_columns(found)).set_index("index").sort_index()
        kept = set(table.index.tolist())
        own = {
            index: values
            for part in parts
            for index, values in zip(part["index"].tolist(), part["map"], strict=True)
            if index in kept
        }
        return Evidence(
            check=self.name,
            sentence=sentence(found, metrics),
            metrics=metrics,
            images=table,
            tables={"figures": figures_table(found)},
            pictures=pictures(self.name, audit, own, people, table, method, self.shown_image),
            legend=legend(method),
            passes=len(found.covered) * (1 + self.map_passes(audit)),
        )
