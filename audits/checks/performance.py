"""How often the model is right on whole images."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from audits.checks._fill import recognise
from audits.checks.base import AuditContext, Check, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import scores

_UNIT_IMAGES = 1000


class Performance(Check):
    """Accuracy, macro and weighted F1 on the labelled images, by scikit-learn."""

    kind: Literal["performance"] = "performance"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    scored: ClassVar[Mapping[str, str]] = {"": "predicted"}
    decisive: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        predicted = []
        for at in range(0, len(unit.indices), audit.plan.chunk):
            images = audit.images.tensor(unit.indices[at : at + audit.plan.chunk])
            everywhere = torch.ones(len(images), dtype=torch.bool)
            predicted.append(recognise(audit, images, everywhere))
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "predicted": np.concatenate(predicted),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table = pd.DataFrame(columns).set_index("index")
        metrics = scores(columns["label"], columns["predicted"], len(audit.classes))
        right = metrics["accuracy"].value
        return Evidence(
            check=self.name,
            sentence=f"The model names {right:.1%} of {len(table)} images right.",
            metrics=metrics,
            images=table,
            passes=len(table),
        )
