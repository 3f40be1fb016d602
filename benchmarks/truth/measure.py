"""The checks on one network of the zoo, as an audit runs them, and what others do."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks.base import Check
from audits.checks.concepts import Concepts
from audits.checks.context import AuditContext
from audits.checks.planted_defect import PlantedDefect
from audits.checks.swap import Swap
from audits.data.built import of_arrays
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.models.contract import InputContract
from fillblanks import Classifier, default_plan
from truth.baselines import class_saliency, neural_cleanse
from truth.marks import Mark
from truth.row import Row
from truth.zoo import Specimen

SWAP, OCCLUSION, COLOURS = "swap", "swap by occlusion", "swap of colours"
CONCEPTS, PLANTED, FAINT = "concepts", "planted_defect", "planted_defect with faint: 0.05"
CLEANSE_INDEX, CLEANSE_NORM = "Neural Cleanse, MAD index", "Neural Cleanse, smallest norm"
SALIENCY = "mean saliency of a class"
SUSPECTED = 0.8  # of the lower end of the margin; no policy has this bound
MOST_LIFT = 0.1  # of `swap`; the default policy has .2
MOST_COLOURS = 0.25  # of `swap of colours`; no policy has this bound
MOST_CONCEPT = 0.6  # of the transplants of `concepts`; no policy has this bound
MOST_INDEX = 2.0  # of Neural Cleanse, as its authors set it
_WITH_CONCEPTS = ("none", "fixed", "moving", "tint")
_WITH_FAINT = ("none", "faint", "blended")
_STRIDE = 8  # of the small networks, in pixels
_HALF = 0.5  # of the mark, which a place must cover


class Subject(NamedTuple):
    """A network that is measured, and how."""

    specimen: Specimen
    classifier: Classifier
    captured: bool = False  # on a GPU: passes as CUDA graphs

    def audit(self, *, marked: bool) -> AuditContext:
        images, labels = self.specimen.audited(marked=marked)
        return context(self.specimen, self.classifier, images, labels, captured=self.captured)


def context(
    specimen: Specimen,
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    captured: bool = False,
) -> AuditContext:
    """An audit of a network with images (n, C, H, W) in [0, 1]."""
    pixels = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    data = of_arrays(specimen.name, pixels, labels.numpy(), [str(i) for i in range(10)])
    plan = replace(default_plan(*images.shape[1:]), captured=captured)
    mean, std = (tuple(one.flatten().tolist()) for one in (classifier.mean, classifier.std))
    contract = InputContract(data.fit, mean=mean, std=std)
    return AuditContext(data, 0, plan, classifier, contract=contract)


def stages(subject: Subject) -> dict[str, Callable[[], list[Row]]]:
    """What is measured of a network with or without a mark, by name.

    Expensive checks are measured on half of the networks of a kind, or on kinds that they are for.
    """
    one = subject.specimen
    is_clean = not one.is_marked
    found: dict[str, Callable[[], list[Row]]] = {}
    if one.network == "EfficientNet":  # a pass takes as long as a hundred of the others
        if is_clean or one.is_carried:
            found[SWAP] = lambda: list(_swaps(subject, SWAP, COLOURS))
        return {**found, PLANTED: lambda: _planted(subject, with_faint=False)}
    if is_clean or one.is_carried or one.in_half:
        found[SWAP] = lambda: list(_swaps(subject, SWAP))
    if is_clean or one.is_carried:
        found[COLOURS] = lambda: list(_swaps(subject, COLOURS))
        found[SALIENCY] = lambda: [_saliency(subject)]
        if one.in_half:
            found[OCCLUSION] = lambda: list(_swaps(subject, OCCLUSION))
    if one.kind in _WITH_CONCEPTS and not (is_clean and one.in_half):
        found[CONCEPTS] = lambda: [_concepts(subject)]
    if not one.is_carried or one.in_half:
        found[PLANTED] = lambda: _planted(subject, with_faint=one.kind in _WITH_FAINT)
    if (is_clean and not one.in_half) or (one.is_marked and not one.is_carried):
        found[CLEANSE_NORM] = lambda: _cleansed(subject)
    return found


_SWAPS = {SWAP: Swap(), OCCLUSION: Swap(chooser="occlusion"), COLOURS: Swap(what="colour")}


def _swaps(subject: Subject, *names: str) -> Iterator[Row]:
    """`swap` on images that carry the mark as those of the training did."""
    audit, mark = subject.audit(marked=True), subject.specimen.mark
    for name in names:
        with _Clock(subject) as clock:
            check = _SWAPS[name].settled(audit.shape)
            answers, evidence = concluded(check, audit, measured(check, audit))
        lift, first = evidence.metrics["lift"].estimate, evidence.tables["classes"].iloc[0]
        place = None
        has_place = mark is not None and mark.has_place and subject.specimen.is_carried
        if has_place and "place" in answers:
            covered = mark.covered(torch.from_numpy(answers["place"]), int(first["patch_size"]))
            place = float((covered >= _most(mark, first)).float().mean()) >= _HALF * mark.share
        yield Row(
            name,
            lift.value,
            bool(lift.low > (MOST_COLOURS if name == COLOURS else MOST_LIFT)),
            _is_class(mark, first["class"]),
            place,
            clock.seconds,
            None,
            f"low {lift.low:.3f}",
        )


def _most(mark: Mark, found: pd.Series) -> float:
    """Half of the mark; of a mark that is larger than the patch, half of the patch."""
    size = int(found.get("patch_size", 0)) or int(found["window"])
    return _HALF * min(mark.size, size) ** 2 / mark.size**2


def _concepts(subject: Subject) -> Row:
    audit, mark = subject.audit(marked=True), subject.specimen.mark
    with _Clock(subject) as clock:
        check = Concepts().settled(audit.shape)
        _, evidence = concluded(check, audit, measured(check, audit))
    lift = evidence.metrics["transplant_lift"].estimate
    first = evidence.tables["concepts"].iloc[0]
    is_class = _is_class(mark, first["class"])
    accused, told = bool(lift.low > MOST_CONCEPT), f"low {lift.low:.3f}"
    return Row(CONCEPTS, lift.value, accused, is_class, None, clock.seconds, None, told)


def _saliency(subject: Subject) -> Row:
    images, labels = subject.specimen.audited(marked=True)
    with _Clock(subject) as clock:
        found = class_saliency(subject.classifier, images, labels)
    mark, place = subject.specimen.mark, None
    if mark is not None and mark.has_place:
        place = _overlaps(mark, found.place, 5, 0)
    is_class = None if mark is None else found.label == mark.label
    return Row(SALIENCY, found.score, None, is_class, place, clock.seconds)


def _planted(subject: Subject, *, with_faint: bool) -> list[Row]:
    """`planted_defect` on images without any mark, without and with a faint pattern."""
    try:
        return _found(subject, with_faint=with_faint)
    except NotApplicable as reason:
        names = (PLANTED, FAINT) if with_faint else (PLANTED,)
        return [Row.inapplicable(name, reason) for name in names]


def _found(subject: Subject, *, with_faint: bool) -> list[Row]:
    audit = subject.audit(marked=False)
    plain, faint = (
        check.settled(audit.shape) for check in (PlantedDefect(), PlantedDefect(faint=0.05))
    )
    with _Clock(subject) as clock:  # the windows first, as without a faint pattern
        parts = measured(plain, audit)
        without = concluded(plain, audit, parts)[1]
    rows = [_planted_row(subject, PLANTED, without, clock.seconds)]
    if not with_faint:
        return rows
    with _Clock(subject) as more:
        units = faint.units(audit)[len(parts) :]
        parts += [faint.measure(audit, unit) for unit in units]
        with_faint = concluded(faint, audit, parts)[1]
    return [*rows, _planted_row(subject, FAINT, with_faint, clock.seconds + more.seconds)]


def _planted_row(subject: Subject, name: str, evidence: Evidence, seconds: float) -> Row:
    margin, first = evidence.metrics["margin"].estimate, evidence.tables["classes"].iloc[0]
    mark, size = subject.specimen.mark, int(first["window"])
    places: list[bool | None] = [None, None]
    if mark is not None and mark.has_place:
        at = torch.tensor([[int(first["row"]), int(first["column"])]])
        places = [size > 0 and _overlaps(mark, at, size, stride) for stride in (0, _STRIDE)]
    is_class = _is_class(mark, first["class"])
    accused = bool(margin.low > SUSPECTED)
    detail = f"window {size}" if size else "whole image"
    detail += f", rate {evidence.metrics['rate'].estimate.value:.2f}"
    return Row(name, margin.low, accused, is_class, places[0], seconds, places[1], detail)


def _cleansed(subject: Subject) -> list[Row]:
    """Neural Cleanse on images without any mark; its two scores."""
    images, _ = subject.specimen.audited(marked=False)
    mark = subject.specimen.mark
    with _Clock(subject) as clock:
        found = neural_cleanse(subject.classifier, images, 10, subject.specimen.seed)
    place = None
    if mark is not None and mark.has_place:
        place = _overlaps(mark, found.place(mark.size), mark.size, 0)
    is_class = None if mark is None else found.label == mark.label
    smallest = float(found.norms.min())
    rest = (is_class, place, clock.seconds)
    return [
        Row(CLEANSE_INDEX, found.index, found.index > MOST_INDEX, *rest),
        Row(CLEANSE_NORM, -smallest, None, *rest),
    ]


def tried(subject: Subject) -> list[Row]:
    """Neural Cleanse with other settings, for networks on which choices are made."""
    images, _ = subject.specimen.audited(marked=False)
    mark, rows = subject.specimen.mark, []
    for steps, cost in ((100, 0.001), (100, 0.01), (300, 0.01), (300, 0.1)):
        with _Clock(subject) as clock:
            found = neural_cleanse(
                subject.classifier, images, 10, subject.specimen.seed, steps, cost
            )
        is_class = None if mark is None else found.label == mark.label
        for score, what in ((found.index, "index"), (-float(found.norms.min()), "norm")):
            name = f"Neural Cleanse, {what}, {steps} steps, cost {cost:g}"
            rows.append(Row(name, score, None, is_class, None, clock.seconds))
    return rows


def _is_class(mark: Mark | None, name: str) -> bool | None:
    return None if mark is None else name == str(mark.label)


def _overlaps(mark: Mark, place: Tensor, size: int, stride: int) -> bool:
    """Whether the window covers half of the mark, or of itself; moved by the stride or not."""
    near = range(-4 * stride, 4 * stride + 1, stride) if stride else (0,)
    moves = torch.tensor([(row, column) for row in near for column in near])
    least = _HALF * min(mark.size, size) ** 2 / mark.size**2
    return bool((mark.covered(place + moves, size) >= least).any())


def measured(check: Check, audit: AuditContext) -> list[Part]:
    return [check.measure(audit, unit) for unit in check.units(audit)]


def concluded(check: Check, audit: AuditContext, parts: list[Part]) -> tuple[Part, Evidence]:
    """The answers of a check that asks at the end, and its evidence."""
    if not check.asks_at_the_end:
        return {}, check.conclude(audit, parts)
    answers = check.ask(audit, parts)
    return answers, check.conclude(audit, [*parts, answers])


class _Clock:
    """Seconds of the process for networks on the CPU, of the clock for those on a GPU."""

    def __init__(self, subject: Subject):
        on_cpu = subject.classifier.device.type == "cpu"
        self._now = time.process_time if on_cpu else time.perf_counter
        self.seconds = 0.0

    def __enter__(self) -> "_Clock":
        self._began = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._now() - self._began
