"""Class by class: a column of pictures for each class, worst first, and a table of all classes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from audits.evidence.evidence import Evidence, Shows
from audits.report.pictures import NAME, SHOWN, Tile, shown, tile
from audits.report.readings import class_name
from audits.report.recognition import Recognition, of_drawings, of_real_images
from audits.report.text import middle

_ROWS: tuple[Shows, ...] = ("image", "drawing", "filled")
_MOST_COLUMNS = 10


class Column(NamedTuple):
    """A class: its name, how often its drawings are recognised, and its pictures, row by row."""

    name: str
    told: str  # "3 of 10"; "" if no check saw an image of the class
    tiles: tuple[Tile | None, ...]


class Columns(NamedTuple):
    """The columns of the classes that have pictures, worst first.

    The audit chooses these classes before it measures, so the worst class may not be among them.
    """

    rows: tuple[str, ...]  # "the real image", ...
    columns: tuple[Column, ...]
    told: str  # "10 of 40 classes"
    counted: str  # the images that the columns count: "own drawing recognised"; "" without any
    total: int  # of all classes
    worse: int  # classes without a picture that are recognised less often than the first column


def columns(evidence: Sequence[Evidence], classes: Sequence[str]) -> Columns | None:
    """The columns of an audit; None if there are no pictures of classes."""
    found = {what: shown(evidence, what) for what in _ROWS}
    rows = [what for what in _ROWS if found[what]]
    labels = sorted(set().union(*(found[what] for what in rows)))
    if not labels:
        return None
    real, drawings = of_real_images(evidence), of_drawings(evidence)
    judged = [*drawings, *([real] if real else [])]

    def place(label: int) -> tuple[float, ...]:
        shares = (one.share(label) for one in judged)
        return (*(math.inf if math.isnan(share) else share for share in shares), label)

    def row(what: Shows, label: int) -> Tile | None:
        picture = found[what].get(label)
        if picture is None or picture.seen is None:
            return None
        read = real.of_image(picture.seen.image) if real and what == "image" else None
        return tile(picture, classes, read)

    ordered = sorted(labels, key=place)[:_MOST_COLUMNS]
    count = max(len(classes), len(labels))
    others = set(range(len(classes))).difference(ordered) if judged else ()
    return Columns(
        rows=tuple(SHOWN[what] for what in rows),
        columns=tuple(
            Column(
                name=class_name(label, classes),
                told=_told(judged, label),
                tiles=tuple(row(what, label) for what in rows),
            )
            for label in ordered
        ),
        told=f"{len(ordered)} of {count} classes" if len(ordered) < count else f"{count} classes",
        counted=judged[0].title if judged else "",
        total=count,
        worse=sum(place(label)[0] < place(ordered[0])[0] for label in others),
    )


def _told(judged: Sequence[Recognition], label: int) -> str:
    if not judged:
        return ""
    hits, count = judged[0].hits(label)
    return f"{hits} of {count}" if count else ""


class Bar(NamedTuple):
    """How many images of a class are recognised."""

    hits: int
    images: int
    share: float  # in percent; NaN if the check saw no image of the class
    mistaken: str  # "read as 8: 3 of 10", the most frequent mistake, or ""
    whole: str  # the class that it is mistaken for, not cut


class ClassRow(NamedTuple):
    """A class in the table: a bar for each recognition."""

    name: str
    bars: tuple[Bar, ...]


class ClassTable(NamedTuple):
    """All classes, worst first; `heads` are titles and names of metrics."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[ClassRow, ...]


def class_table(evidence: Sequence[Evidence], classes: Sequence[str]) -> ClassTable | None:
    """Accuracy beside recognition for each class; None if no check has figures for each image."""
    real, drawings = of_real_images(evidence), of_drawings(evidence)
    columns = [*([real] if real else []), *drawings]
    if not columns or not classes:
        return None

    def place(label: int) -> tuple[float, ...]:
        shares = (one.share(label) for one in (*drawings, *([real] if real else [])))
        return (*(math.inf if math.isnan(share) else share for share in shares), label)

    ordered = sorted(range(len(classes)), key=place)
    return ClassTable(
        heads=tuple((one.title, one.metric) for one in columns),
        rows=tuple(
            ClassRow(classes[label], tuple(_bar(one, label, classes) for one in columns))
            for label in ordered
        ),
    )


def _bar(one: Recognition, label: int, classes: Sequence[str]) -> Bar:
    hits, count = one.hits(label)
    share, found = one.share(label), one.mistaken(label)
    mistaken = whole = ""
    if found:
        label, times = found
        whole = "none that counts" if label < 0 else class_name(label, classes)
        read = whole if label < 0 else f"read as {middle(whole, NAME)}"
        mistaken = f"{read}: {times} of {count}"
    return Bar(hits, count, round(100 * share, 1), mistaken, whole)
