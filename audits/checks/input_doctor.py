"""Input doctor: would the model be right more often if its images were fed in another way?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from audits.checks._input_doctor.compared import Compared, mean_confidence
from audits.checks._input_doctor.neighbours import MOST, Name, Neighbour, neighbours
from audits.checks._shared.readings import confidence
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array, UpTo
from audits.data.imageset import ImageSet
from audits.errors import AuditError, quoted, shortened
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import proportion
from audits.evidence.metric import Metric
from audits.models.adapter import NETWORK_ERRORS
from audits.models.contract import InputContract
from audits.strict import Count
from fillblanks import Classifier
from fillblanks.classifier import predicted_class
from fillblanks.memory import is_short

_LONGEST_REASON = 200  # characters of an error that the network raised
_MOST_TRIED = 64  # neighbours of one contract, with those that need no passes


class InputDoctor(Check):
    """Accuracy with images fed as the input contract says, and in the ways that are likely instead.

    If one of these neighbours is clearly better, the evidence asks a question, and no verdict but
    `undecided` is reached until it is settled. The contract itself is never changed.
    """

    kind: Literal["input_doctor"] = "input_doctor"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "How images are fed to the model"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The same images are prepared in other likely ways: other channel order, range, size.",
        "If another way is clearly better, images are probably fed wrongly, and the other figures "
        "are about a model that nobody has.",
    )
    images: Count | None = 64
    ignore: tuple[Name, ...] = Field(
        default=(), description="neighbours that are not tried, since the contract is known there"
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            "accuracy": Metric("images named right, as configured"),
            "confidence": Metric("mean of the largest probability, as configured", better=None),
            "best_neighbour_gain": Metric(
                "accuracy gained by the best neighbour of the input contract",
                better="lower",
                unit="difference",
            ),
        }

    def unit_images(self, audit: AuditContext) -> int:
        return len(audit.images)  # a neighbour is compared on all images at once

    def passes(self, images: int) -> int:
        return images

    def most_passes(self, images: int) -> int:
        return images * (1 + MOST)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        classifier = audit.classifier
        candidates = _candidates(audit, resized=_resized(audit.images, unit.indices))
        tries = [_Try(one) for one in candidates if one.name not in self.ignore]
        own = _Answers()
        for at in range(0, len(unit.indices), audit.plan.chunk):
            chunk = unit.indices[at : at + audit.plan.chunk]
            pixels = audit.images.tensor(chunk)
            logits = _logits(classifier, classifier.to_device(pixels), normalised=False)
            own.add(logits)
            for one in tries:
                one.run(classifier, audit.images, chunk, pixels, logits)
        ran = [one for one in tries if not one.skipped and one.differs]
        answers = [own, *(one.answers for one in ran)]
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "predicted": np.stack([one.predicted for one in answers], axis=1),
            "confidence": np.stack([one.confidence for one in answers], axis=1),
            "name": np.array([one.neighbour.name for one in ran], dtype=str),
            "skipped": np.array([o.neighbour.name for o in tries if o.skipped], dtype=str),
            "reason": np.array([o.skipped for o in tries if o.skipped], dtype=str),
            "passes": np.array(len(unit.indices) * (1 + sum(one.costs for one in ran))),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, last = len(unit.indices), len(audit.classes) - 1
        answers, ran, skipped = (UpTo(_MOST_TRIED, name) for name in ("answers", "ran", "skipped"))
        return {
            "index": Array("int", (n,)),
            "label": Array("int", (n,)),
            "predicted": Array("int", (n, answers), -1, last),
            "confidence": Array("float", (n, answers), 0, 1),
            "name": Array("text", (ran,)),
            **{name: Array("text", (skipped,)) for name in ("skipped", "reason")},
            "passes": Array("int", (), 0, self.most_passes(n)),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        (part,) = parts
        compared = Compared(part, _named(part, _candidates(audit)))
        declared = self.declared_metrics(reference=False)
        confidence = part["confidence"][:, 0]
        gain = max(compared.gains, key=lambda one: one.value, default=UNMEASURED)
        question = compared.question
        if question:
            better = ", ".join(compared.names[number] for number in compared.better)
            question += (
                f" If the contract is right as it is, give the check {self.name} "
                f"ignore: [{better}]."
            )
        tables = {"neighbours": compared.table}
        if _contract(audit).classes is None:
            tables["logits"] = _by_logit(part, audit.classes)
        if len(part["skipped"]):
            told = [shortened(reason, _LONGEST_REASON) for reason in part["reason"]]
            tables["not_tried"] = pd.DataFrame({"name": part["skipped"], "reason": told})
        return Evidence(
            check=self.name,
            sentence=question or compared.sentence,
            metrics={
                "accuracy": declared["accuracy"].measured(proportion(compared.right[:, 0])),
                "confidence": declared["confidence"].measured(mean_confidence(confidence)),
                "best_neighbour_gain": declared["best_neighbour_gain"].measured(gain),
            },
            images=pd.DataFrame(
                {"label": part["label"], "predicted": part["predicted"][:, 0]},
                index=pd.Index(part["index"], name="index"),
            ),
            tables=tables,
            questions=(question,) if question else (),
            passes=int(part["passes"]),
        )


def _contract(audit: AuditContext) -> InputContract:
    if audit.contract is None:
        raise RuntimeError("The input doctor needs the model's input contract.")
    return audit.contract


def _candidates(audit: AuditContext, *, resized: bool = True) -> tuple[Neighbour, ...]:
    return neighbours(_contract(audit), audit.shape[0], audit.classes, resized=resized)


def _named(part: Part, candidates: Sequence[Neighbour]) -> list[Neighbour]:
    """The neighbours that ran, by their names: the model's process gives no text for people.

    Raises AuditError if a name is none of the contract's neighbours, or stands there twice.
    """
    known: dict[str, Neighbour] = {one.name: one for one in candidates}
    names = [str(name) for name in (*part["name"], *part["skipped"])]
    if odd := [name for name in names if name not in known or names.count(name) > 1]:
        raise AuditError(
            f"Expected neighbours of the input contract, each once, got {quoted(odd[0])} from the "
            "model's process. Look at the model's code."
        )
    return [known[name] for name in names[: len(part["name"])]]


def _by_logit(part: Part, classes: Sequence[str]) -> pd.DataFrame:
    """For each logit that is predicted: the class that most of its images have, and how many."""
    rows = []
    for logit in np.unique(part["predicted"][:, 0]):
        labels = part["label"][part["predicted"][:, 0] == logit]
        commonest = int(np.bincount(labels).argmax())
        rows.append(
            {
                "logit": int(logit),
                "commonest_class": classes[commonest],
                "of_them": int((labels == commonest).sum()),
                "images": len(labels),
            }
        )
    return pd.DataFrame(rows)


@dataclass
class _Answers:
    """Predicted classes and largest probabilities, chunk by chunk."""

    _predicted: list[np.ndarray] = field(default_factory=list)
    _confidence: list[np.ndarray] = field(default_factory=list)

    def add(self, logits: Tensor, order: Tensor | None = None) -> None:
        predicted = predicted_class(logits)
        if order is not None:  # a class without a name stays as it is
            named = (predicted >= 0) & (predicted < len(order))
            predicted = torch.where(named, order[predicted.clamp(0, len(order) - 1)], predicted)
        self._predicted.append(predicted.numpy())
        self._confidence.append(confidence(logits))

    @property
    def predicted(self) -> np.ndarray:
        return np.concatenate(self._predicted)

    @property
    def confidence(self) -> np.ndarray:
        return np.concatenate(self._confidence)


@dataclass
class _Try:
    """One neighbour on all images: its answers, or why the network could not be run."""

    neighbour: Neighbour
    answers: _Answers = field(default_factory=_Answers)
    differs: bool = False  # from the contract as it is given, for these images
    skipped: str = ""

    @property
    def costs(self) -> bool:
        """Whether the neighbour takes passes of its own."""
        return self.neighbour.order is None

    def run(
        self,
        classifier: Classifier,
        images: ImageSet,
        chunk: Sequence[int],
        pixels: Tensor,
        logits: Tensor,
    ) -> None:
        """Adds the answers for a chunk; `pixels` and `logits` are those of the given contract."""
        one = self.neighbour
        if self.skipped:
            return
        if one.order is not None:
            self.differs = True
            self.answers.add(logits, torch.tensor(one.order))
            return
        if one.contract.fit == images.fit:
            self.differs = True
        else:
            given, pixels = pixels, replace(images, fit=one.contract.fit).tensor(chunk)
            self.differs |= not torch.equal(given, pixels)
        try:
            found = _logits(classifier, one.inputs(classifier, pixels))
            if found.shape != logits.shape:
                raise ValueError(f"answers of shape {tuple(found.shape)}")
        except NETWORK_ERRORS as error:
            if is_short(error):
                raise
            first = (str(error).strip() or "no message").splitlines()[0]
            self.skipped = f"{type(error).__name__}: {first}"
            return
        self.answers.add(found)


def _resized(images: ImageSet, indices: Sequence[int]) -> bool:
    """Whether any of these images has another size than the model's."""
    wanted = images.fit.height, images.fit.width
    own = replace(images, fit=replace(images.fit, height=None, width=None, resize="stretch"))
    return any(tuple(own.tensor([i]).shape[2:]) != wanted for i in indices)


def _logits(classifier: Classifier, inputs: Tensor, *, normalised: bool = True) -> Tensor:
    """Logits (n, K), on the CPU."""
    with classifier.steady(), torch.no_grad():
        found = classifier.net(inputs) if normalised else classifier(inputs)
    return found.cpu()
