"""The checks on one network of the zoo, as an audit runs them."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.checks.swap import Swap
from audits.data.built import of_arrays
from fillblanks import Classifier, default_plan
from truth.zoo import Specimen

COLOURS = "swap of colours"
CHECKS: dict[str, Check] = {
    "swap": Swap(),
    "swap by occlusion": Swap(chooser="occlusion"),
    COLOURS: Swap(what="colour"),
}
KEY = hashlib.sha256(
    repr([(name, check.version, check.model_dump()) for name, check in CHECKS.items()]).encode()
).hexdigest()[:8]
"""Kept figures are of these checks alone."""

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


def rows(specimen: Specimen, folder: Path) -> list[Row]:
    """All checks on the network of a specimen."""
    net = specimen.network(folder)
    learnt, (images, labels) = specimen.has_learnt(net), specimen.audited()
    pixels = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    data = of_arrays(specimen.name, pixels, labels.numpy(), [str(i) for i in range(10)])
    plan = default_plan(*images.shape[1:])
    audit = AuditContext(data, 0, plan, Classifier(net, constant=True))
    return [_row(name, check, specimen, learnt, audit) for name, check in CHECKS.items()]


def _row(name: str, check: Check, specimen: Specimen, learnt: bool, audit: AuditContext) -> Row:
    started = time.process_time()
    check = check.settled(audit.shape)
    parts = [check.measure(audit, unit) for unit in check.units(audit)]
    answers = check.ask(audit, parts)
    evidence = check.conclude(audit, [*parts, answers])
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
