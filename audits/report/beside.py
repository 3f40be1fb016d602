"""The baseline beside the model: the same figures, and drawings of the same images."""

from collections.abc import Sequence
from typing import NamedTuple

from audits.evidence.evidence import Evidence, Picture, Shows
from audits.report.audited import BaselineShown
from audits.report.numbers import interval, number
from audits.report.pictures import SHOWN, Tile, shown, tile
from audits.report.readings import class_name

_KINDS: tuple[Shows, ...] = ("drawing", "filled", "class")


class Pair(NamedTuple):
    """What both models have drawn for one image or class."""

    what: str
    own: Tile
    baseline: Tile


class ClassPairs(NamedTuple):
    """The pairs of one class."""

    name: str
    pairs: tuple[Pair, ...]


class BesideRow(NamedTuple):
    """One metric of both models, in words."""

    title: str
    metric: str
    own: str
    baseline: str
    drop: str


class Beside(NamedTuple):
    """All that the page shows of a baseline."""

    title: str
    rows: tuple[BesideRow, ...]
    classes: tuple[ClassPairs, ...]  # () if there are no pictures of the baseline


def beside(
    evidence: Sequence[Evidence], classes: Sequence[str], baseline: BaselineShown | None
) -> Beside | None:
    """The baseline beside the model; None if the audit has none."""
    if baseline is None:
        return None
    return Beside(
        baseline.title,
        tuple(_rows(evidence, baseline.evidence)),
        tuple(_classes(evidence, classes, baseline)),
    )


def _rows(evidence: Sequence[Evidence], theirs: Sequence[Evidence]) -> list[BesideRow]:
    others = {one.check: one.metrics for one in theirs}
    found = []
    for one in evidence:
        for name, metric in one.metrics.items():
            if metric.drop is None or not metric.drop.finite:
                continue
            other = others.get(one.check, {}).get(name)
            known = other is not None and other.estimate.finite
            drop = number(metric.drop.value, metric.unit, "drop")
            found.append(
                BesideRow(
                    metric.title,
                    f"{one.check}/{name}",
                    number(metric.estimate.value, metric.unit),
                    number(other.estimate.value, metric.unit) if other and known else "",
                    f"{drop} ({interval(metric.drop, metric.unit, 'drop')})",
                )
            )
    return found


def _classes(
    evidence: Sequence[Evidence], classes: Sequence[str], baseline: BaselineShown
) -> list[ClassPairs]:
    found: dict[str, list[Pair]] = {}
    for what in _KINDS:
        theirs = {
            class_name(label, baseline.classes): picture
            for label, picture in shown(baseline.evidence, what).items()
        }
        for label, picture in sorted(shown(evidence, what).items()):
            name = class_name(label, classes)
            other = theirs.get(name)
            if other is not None and _same(picture, other):
                pair = Pair(SHOWN[what], tile(picture, classes), tile(other, baseline.classes))
                found.setdefault(name, []).append(pair)
    return [ClassPairs(name, tuple(pairs)) for name, pairs in found.items()]


def _same(picture: Picture, other: Picture) -> bool:
    """Whether two pictures are of the same image."""
    ours, theirs = picture.seen, other.seen
    return ours is not None and theirs is not None and ours.image == theirs.image
