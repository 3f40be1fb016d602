"""Agreement: does the model look where other versions of it look?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from audits.checks._agreement.figures import (
    COLUMN_WORDS,
    classes_table,
    compared,
    declared,
    images_columns,
    measured,
    sentence,
    versions_table,
)
from audits.checks._agreement.pictures import STEPS, legend, pictures
from audits.checks._agreement.trial import map_count, trial, trial_form
from audits.checks._shared.forms import columns_form
from audits.checks._shared.map_check import MapCheck
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count

_UNIT_VALUES = 100_000_000  # in all masked images of a unit: some seconds to a few minutes
_UNIT_IMAGES = 64


class Agreement(MapCheck):
    """The model's maps of evidence beside those of other versions, trained on folds or seeds.

    The config names the other versions (`versions`). Each model makes a map of each image's label,
    with masks of its own. `correlation` is the mean of Spearman's rank correlation between the
    model's map and that of each version. Its nulls are the maps that the versions have of all other
    images, for maps may agree since objects stand in the middle, and the maps of the model with
    permuted weights. The lift is over both.

    Algorithmic stability: Fel et al. 2022 (arXiv 2009.04521). Their MeGe and ReCo stand beside, and
    no policy can judge them: a map that is always of the centre has a MeGe of 1. ReCo asks whether
    maps differ more if answers differ; it applies only if answers differ often enough.

    Between a champion and a candidate it is the drift of explanations: name the champion under
    `versions`. A model that answers just as the audited one is refused there.
    """

    kind: Literal["agreement"] = "agreement"
    version: ClassVar[int] = 4
    asks_versions: ClassVar[bool] = True
    plain_name: ClassVar[str] = "Do versions look at the same places?"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The model was trained more than once, on other images or with other random numbers. If "
        "its versions look at the same places of an image, that does not hang on one training.",
        "The same maps agree a little for any two images, since objects often stand in the middle, "
        "and even for a network that knows nothing. Only the lift over both counts.",
        "Versions may also agree on a mistake, such as a mark that all training images have. A low "
        "figure is no fault by itself: networks may be right for different reasons.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    images: Count | None = Field(
        default=100,
        description="audit a sample of this many images, evenly over the classes and drawn by the "
        "seed",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared()

    def captions(self) -> tuple[str, ...]:
        return tuple(STEPS.values())

    def unit_images(self, audit: AuditContext) -> int:
        values = math.prod(audit.shape) * self._passes(audit, permuted=True)
        return max(1, min(_UNIT_IMAGES, _UNIT_VALUES // values))

    def units(self, audit: AuditContext) -> list[Unit]:
        cell = (
            ("passes", self._passes(audit, permuted=False)),
            ("most", self._passes(audit, permuted=True)),
        )
        return [replace(unit, cell=cell) for unit in super().units(audit)]

    def _passes(self, audit: AuditContext, *, permuted: bool) -> int:
        """Passes for one image."""
        versions = len(audit.version_names)
        maps = map_count(self.method_for(audit.shape), versions, permuted=permuted)
        return 1 + versions + maps * self.map_passes(audit)

    def passes(self, images: int) -> int:
        return images * (2 + 2 * self.least_map_passes)  # of the model and of one version

    def most_passes(self, images: int) -> int:
        return images * (2 + 4 * self.most_map_passes)

    def unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * int(dict(unit.cell)["passes"])

    def most_unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * int(dict(unit.cell)["most"])

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        return trial(audit, unit, self.method_for(audit.shape))

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        patches = self.method_for(audit.shape).patches(*audit.shape[1:])
        return {**columns_form(audit, unit, "read"), **trial_form(audit, unit, patches)}

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        found, method = compared(parts), self.method_for(audit.shape)
        by_version = versions_table(found, audit.version_names)
        by_class = classes_table(found, audit.classes)
        metrics = measured(found)
        least = int(by_version["lift"].to_numpy().argmin())
        permuted = found.with_permuted is not None
        return Evidence(
            check=self.name,
            sentence=sentence(found, metrics, by_version, by_class),
            metrics=metrics,
            images=pd.DataFrame(images_columns(found)).set_index("index").sort_index(),
            tables={"versions": by_version, "classes": by_class},
            pictures=pictures(self.name, audit, parts, method, least, self.shown_image),
            legend=legend(method, audit.version_names[least]),
            passes=len(found.own) * self._passes(audit, permuted=permuted),
        )
