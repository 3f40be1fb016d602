"""The checks on one network of the zoo, as an audit runs them."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.checks.planted_defect import PlantedDefect
from audits.checks.swap import Swap
from audits.data.built import of_arrays
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from fillblanks import Classifier, default_plan
from truth.marks import Mark
from truth.zoo import Specimen

COLOURS, PLANTED = "swap of colours", "planted_defect"
FAINT = "planted_defect with faint: 0.05"
# Of images that carry the mark as those of the training did.
CARRIED: dict[str, Check] = {
    "swap": Swap(),
    "swap by occlusion": Swap(chooser="occlusion"),
    COLOURS: Swap(what="colour"),
}
# Of images without any mark.
CLEAN: dict[str, Check] = {PLANTED: PlantedDefect(), FAINT: PlantedDefect(faint=0.05)}
SUSPECTED = 0.5  # of the margin's lower end, from which on a network is; no policy has this bound
_STRIDE = 8  # of the networks of the zoo, in pixels


def key(checks: dict[str, Check]) -> str:
    """Kept figures are of these checks alone."""
    told = repr([(name, check.version, check.model_dump()) for name, check in checks.items()])
    return hashlib.sha256(told.encode()).hexdigest()[:8]


_HALF = 0.5  # of the mark, which a place must cover


class Row(NamedTuple):
    """One check on one network."""

    check: str
    dataset: str
    kind: str
    name: str
    learnt: bool
    score: float  # the higher, the more a mark is suspected
    accused: bool  # by the bound of the default policy
    class_right: bool
    place_right: bool
    seconds: float  # of CPU
    beside_right: bool = False  # the place, up to the network's stride


def rows(specimen: Specimen, folder: Path) -> list[Row]:
    """The checks that look for marks which the audit's images carry."""
    net = specimen.network(folder)
    audit, learnt = _audit(specimen, net, marked=True), specimen.has_learnt(net)
    return [_swap_row(name, check, specimen, learnt, audit) for name, check in CARRIED.items()]


def clean_rows(specimen: Specimen, folder: Path) -> list[Row]:
    """The checks that look for marks which the audit's images do not carry.

    A network that has not learnt its mark is not audited; its row only says so.
    """
    net = specimen.network(folder)
    learnt = specimen.has_learnt(net)
    if specimen.kind != "none" and not learnt:
        about = specimen.dataset, specimen.kind, specimen.name
        return [Row(PLANTED, *about, False, np.nan, False, False, False, 0.0)]
    audit = _audit(specimen, net, marked=False)
    started = time.process_time()
    plain, faint = (check.settled(audit.shape) for check in CLEAN.values())
    parts = _parts(faint, audit)  # the windows first, as without a faint pattern
    found = [
        (PLANTED, _concluded(plain, audit, parts[: len(plain.units(audit))])[1]),
        (FAINT, _concluded(faint, audit, parts)[1]),
    ]
    return _planted_rows(found, specimen, learnt, time.process_time() - started)


def _audit(specimen: Specimen, net: nn.Module, *, marked: bool) -> AuditContext:
    images, labels = specimen.audited(marked=marked)
    pixels = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    data = of_arrays(specimen.name, pixels, labels.numpy(), [str(i) for i in range(10)])
    plan = default_plan(*images.shape[1:])
    return AuditContext(data, 0, plan, Classifier(net, constant=True))


def _parts(check: Check, audit: AuditContext) -> list[Part]:
    return [check.measure(audit, unit) for unit in check.units(audit)]


def _concluded(check: Check, audit: AuditContext, parts: list[Part]) -> tuple[Part, Evidence]:
    answers = check.ask(audit, parts)
    return answers, check.conclude(audit, [*parts, answers])


def _swap_row(
    name: str, check: Check, specimen: Specimen, learnt: bool, audit: AuditContext
) -> Row:
    started = time.process_time()
    check = check.settled(audit.shape)
    answers, evidence = _concluded(check, audit, _parts(check, audit))
    lift = evidence.metrics["lift"]
    bound = None if lift.bounds is None else lift.bounds.max
    first = evidence.tables["classes"].iloc[0]
    mark = specimen.mark
    found = answers["place"] if "place" in answers else np.zeros((0, 2), np.int64)
    covered = mark.covered(torch.from_numpy(found), int(first["patch_size"]))
    return Row(
        name,
        specimen.dataset,
        specimen.kind,
        specimen.name,
        learnt,
        lift.estimate.value,
        bound is not None and lift.estimate.low > bound,
        first["class"] == str(mark.label),
        bool(len(covered)) and float((covered >= _HALF).float().mean()) >= _HALF * mark.share,
        time.process_time() - started,
    )


def _planted_rows(
    found: list[tuple[str, Evidence]], specimen: Specimen, learnt: bool, seconds: float
) -> list[Row]:
    """A row of each check, and one of each trial alone, as its first half screens it."""
    scores = []
    for name, evidence in found:
        low, table = evidence.metrics["margin"].estimate.low, evidence.tables["classes"]
        scores.append((name, low, low > SUSPECTED, table.iloc[0]))
    for (size, opacity), alone in table.groupby(["window", "opacity"]):
        first = alone.iloc[0]
        trial = f"{size}x{size} alone" if size else f"{opacity:g} of the image alone"
        scores.append((f"{PLANTED}, {trial}", first["margin_low"], False, first))
    about = specimen.dataset, specimen.kind, specimen.name, learnt
    return [
        Row(
            told,
            *about,
            float(score),
            bool(accused),
            first["class"] == str(specimen.mark.label),
            _overlaps(specimen.mark, first, 0),
            seconds,
            _overlaps(specimen.mark, first, _STRIDE),
        )
        for told, score, accused, first in scores
    ]


def _overlaps(mark: Mark, found: pd.Series, stride: int) -> bool:
    """Whether the window covers half of the mark, or of itself; moved by the stride or not."""
    size = int(found["window"])
    if not (size and mark.has_place):
        return False
    near = range(-4 * stride, 4 * stride + 1, stride) if stride else (0,)
    moves = torch.tensor([(row, column) for row in near for column in near])
    places = torch.tensor([int(found["row"]), int(found["column"])]) + moves
    least = _HALF * min(mark.size, size) ** 2 / mark.size**2
    return bool((mark.covered(places, size) >= least).any())
