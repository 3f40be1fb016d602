"""Calibration: is the model as often right as it is sure?"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from audits.checks._calibration.reliability import reliability_picture
from audits.checks._shared.fill import table_of
from audits.checks._shared.forms import columns_form
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.calibration import calibration_error, reliability
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Picture
from audits.evidence.intervals import bounded_mean
from audits.evidence.metric import Metric, Pairing
from fillblanks.classifier import predicted_class

_UNIT_IMAGES = 1000
_WORST_BRIER = 2.0  # all probability on one wrong class


class Calibration(Check):
    """How far the confidence of the answers is from their accuracy.

    The confidence of an answer is the largest of the probabilities (the softmax of logits). `ece`
    is the expected calibration error over `bins` bins of equal width. It is above 0 for a
    calibrated model too, so `ece_calibrated` beside it is that of a calibrated model with the same
    confidences, and the interval of `ece` allows for the difference. `brier` is the mean over
    images of the squared distances of the probabilities from 1 for the true class and 0 for the
    others, summed over classes, from 0 to 2 (Brier 1950). An image with a logit that is not finite
    counts as a wrong answer of confidence 1.
    """

    kind: Literal["calibration"] = "calibration"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "probabilities"
    plain_name: ClassVar[str] = "Confidence"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The model says for each image how sure it is of its answer. If it is calibrated, answers "
        "with a confidence of 80 % are right 80 times of 100.",
        "The expected calibration error is how far confidence and accuracy are apart, on average. "
        "Chance alone makes it larger than 0: compare it with that of a calibrated model.",
        "A model may be right often and be calibrated badly, and the other way round.",
    )
    column_words: ClassVar[Mapping[str, str]] = {
        "above": "confidence above",
        "up_to": "up to",
        "confidence": "mean confidence",
    }
    legend: ClassVar[tuple[str, ...]] = (
        "Each dot stands for the images of one bin of confidence. On the dashed line they are "
        "right as often as the model is sure; below it the model is too sure. The bars count the "
        "images.",
    )
    bins: Annotated[int, Field(ge=2, le=100)] = Field(
        default=15, description="bins of confidence, of equal width"
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            "ece": Metric("expected calibration error", better="lower"),
            "ece_calibrated": Metric(
                "the same of a calibrated model with these confidences", better=None
            ),
            "overconfidence": Metric("confidence above accuracy", better=None, unit="difference"),
            "brier": Metric(
                "Brier score, 0 to 2",
                better="lower",
                unit="ratio",
                pairing=Pairing("brier", "mean", high=_WORST_BRIER),
            ),
            "confidence": Metric("mean confidence", better=None),
        }

    def captions(self) -> tuple[str, ...]:
        return ("reliability",)

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # Bins change no answer of the model.
        return self.model_dump(mode="json", exclude={"images", "label", "bins"})

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        labels = audit.images.labels[list(unit.indices)]
        predicted, sure, brier = [], [], []
        classifier = audit.classifier
        for at in range(0, len(unit.indices), audit.plan.chunk):
            images = audit.images.tensor(unit.indices[at : at + audit.plan.chunk])
            with classifier.steady(), torch.no_grad():
                logits = classifier(images.to(classifier.device, classifier.dtype)).cpu().double()
            known = logits.isfinite().all(1)
            probability = logits.softmax(1)
            truth = torch.from_numpy(labels[at : at + len(images)])
            own = probability.gather(1, truth[:, None])[:, 0]
            # (1 - p)^2 of the true class, and p^2 of the others.
            distance = probability.square().sum(1) - 2 * own + 1
            predicted.append(predicted_class(logits))
            sure.append(torch.where(known, probability.amax(1), 1.0))
            brier.append(torch.where(known, distance.clamp(0, _WORST_BRIER), _WORST_BRIER))
        return {
            "index": np.array(unit.indices),
            "label": labels,
            "predicted": torch.cat(predicted).numpy(),
            "confidence": torch.cat(sure).numpy(),
            "brier": torch.cat(brier).numpy(),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n = len(unit.indices)
        return columns_form(audit, unit, "predicted") | {
            "confidence": Array("float", (n,), 0, 1),
            "brier": Array("float", (n,), 0, _WORST_BRIER),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of(parts, ("label", "predicted", "confidence", "brier"))
        label, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
        sure, right = table["confidence"].to_numpy(), label == predicted
        found = calibration_error(sure, right, label, self.bins)
        estimates = {
            "ece": found.error,
            "ece_calibrated": found.calibrated,
            "overconfidence": bounded_mean(sure - right, -1, 1),
            "brier": bounded_mean(table["brier"].to_numpy(), 0, _WORST_BRIER),
            "confidence": bounded_mean(sure),
        }
        declared = self.declared_metrics(reference=False)
        bins = reliability(sure, right, self.bins)
        picture = Picture(
            f"{self.name}/reliability",
            0,
            reliability_picture(bins),
            "reliability",
            small=False,
            title="accuracy beside confidence",
        )
        return Evidence(
            check=self.name,
            sentence=(
                f"The model is {sure.mean():.1%} sure on average and right {right.mean():.1%} of "
                f"the time. The expected calibration error is {found.error.value:.1%}, against "
                f"{found.calibrated.value:.1%} of a calibrated model with the same confidences"
                f"{_told(estimates['overconfidence'].low, estimates['overconfidence'].high)}."
            ),
            metrics={name: declared[name].measured(e) for name, e in estimates.items()},
            images=table,
            tables={"bins": bins},
            pictures=(picture,),
            legend=self.legend,
            passes=len(table),
        )


def _told(low: float, high: float) -> str:
    """The side on which the confidence is, if its distance from the accuracy is no chance."""
    return "; it is too sure" if low > 0 else "; it is not sure enough" if high < 0 else ""
