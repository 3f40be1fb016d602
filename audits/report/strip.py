"""The strip: image, drawing and filled image of classes, those first that a model draws worst.

It is small enough (800 x 220 pixels) to be seen whole in the description of a version.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from audits.checks._shared.images import slugs
from audits.evidence.evidence import Evidence
from audits.report import completed, completed_picture
from audits.report.contact_sheet import cell
from audits.report.lettering import INK, LABEL, PALE, drawn_titles, fitted, length, write
from audits.report.words import STEPS, classes_told

WIDTH, HEIGHT = 800, 220
_CELL, _GAP, _LABELS, _HEAD, _SMALL, _SMALLEST = 46, 4, 88, 22, 13, 11
_COLUMN = 64
_NUMBERED = " A number: no font here can write the name."
# Stages by the captions of the checks that come with the package; a check of another package has
# its first and its last picture.
DRAWN = {caption: STEPS[caption] for caption in ("prototype", "filled 100%")}
_STAGES = {"image": "image", **DRAWN}


@dataclass(frozen=True)
class Recognised:
    """How many images of a class the model recognised, of those that a check measured."""

    images: int
    of: int


@dataclass(frozen=True)
class Stage:
    """One row: its label, and for each class, by its slug, the picture and the count below it."""

    label: str
    pictures: Mapping[str, np.ndarray]
    counts: Mapping[str, Recognised] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """In pixels, with the line of counts."""
        return _CELL + _GAP + (_SMALL + _GAP if self.counts else 0)


def is_pictured(evidence: Sequence[Evidence]) -> bool:
    """Whether there is a strip of this evidence."""
    return any(picture.small for one in evidence for picture in one.pictures)


def strip(evidence: Sequence[Evidence], classes: Sequence[str]) -> Image.Image | None:
    """A column for each of the worst classes, a row for each stage; None without pictures.

    `classes` are the names in the order of the model's logits. Below the pictures that the model
    was asked to recognise stands for how many images of the class it did. The last line says how
    many classes are shown. If completed images come first, the strip is one of them, that in the
    middle of their order.
    """
    if completed.come_first(evidence):
        images = completed.completed(evidence, classes)
        (middle,) = completed.spread(len(images), 1)
        return completed_picture.drawn(images[middle], classes, (WIDTH, HEIGHT))
    rows = stages(evidence, classes)
    if not rows:
        return None
    titles, names, drawn = worst_first(rows), titles_of(classes), drawn_titles(classes)
    shown = titles[: (WIDTH - _LABELS) // _COLUMN]
    told = classes_told(len(shown), classes, ordered=any(stage.counts for stage in rows)) + "."
    if any(title in names and drawn[title] != names[title] for title in shown):
        told += _NUMBERED
    width = max(_LABELS + len(shown) * _COLUMN, math.ceil(length(told, _SMALLEST)))
    picture = Image.new("RGB", (width, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(shown):
        _centred(draw, column, 1, drawn.get(title, title), LABEL)
    top = _HEAD
    for stage in rows:
        write(draw, (0, top + _CELL // 2 - LABEL // 2), stage.label)
        if stage.counts:
            write(draw, (0, top + _CELL), "recognised", _SMALL, PALE)
        for column, title in enumerate(shown):
            if title in stage.pictures:
                left = _LABELS + column * _COLUMN + (_COLUMN - _CELL) // 2
                picture.paste(cell(stage.pictures[title], _CELL), (left, top))
            if found := stage.counts.get(title):
                _centred(draw, column, top + _CELL, f"{found.images} of {found.of}", _SMALL)
        top += stage.height
    write(draw, (0, HEIGHT - _SMALLEST - 3), told, _SMALLEST, PALE)
    return picture


def recognised(evidence: Evidence, classes: Sequence[str]) -> dict[str, Recognised]:
    """For each class, by its slug, the images that were recognised as what was drawn for them.

    From the first metric of what the model has learnt that counts images; empty without any.
    """
    for metric in evidence.metrics.values():
        pairing = metric.pairing
        if evidence.images is None or not metric.about_learning or pairing is None:
            continue
        if pairing.statistic != "accuracy" or pairing.column not in evidence.images:
            continue
        label, found = evidence.images["label"], evidence.images[pairing.column]
        counts = {
            slug: Recognised(int((found[label == n] == n).sum()), int((label == n).sum()))
            for n, slug in enumerate(slugs(classes))
        }
        return {slug: count for slug, count in counts.items() if count.of}
    return {}


def titles_of(classes: Sequence[str]) -> dict[str, str]:
    """The names of the classes by their slugs."""
    return dict(zip(slugs(classes), classes, strict=True))


def worst_first(rows: Sequence[Stage]) -> list[str]:
    """Slugs of the classes that have a picture, those with the fewest recognised images first."""

    def share(title: str) -> float:
        counts = [stage.counts[title] for stage in rows if title in stage.counts]
        return sum(count.images / count.of for count in counts) / len(counts) if counts else 1.0

    return sorted(dict.fromkeys(title for stage in rows for title in stage.pictures), key=share)


def stages(evidence: Sequence[Evidence], classes: Sequence[str]) -> list[Stage]:
    """The stages that the evidence has pictures of: image, drawing, filled image."""
    found = [
        _stage(label, one, caption, classes if caption != "image" else ())
        for caption, label in _STAGES.items()
        for one in evidence
        if any(picture.caption == caption and picture.small for picture in one.pictures)
    ]
    if found:
        return list({stage.label: stage for stage in reversed(found)}.values())[::-1]
    for one in evidence:
        if small := [picture for picture in one.pictures if picture.small]:
            ends = dict.fromkeys((small[0].caption, small[-1].caption))
            return [_stage(caption, one, caption, ()) for caption in ends]
    return []


def _stage(label: str, evidence: Evidence, caption: str, classes: Sequence[str]) -> Stage:
    pictures = {
        picture.name: picture.image
        for picture in evidence.pictures
        if picture.caption == caption and picture.small
    }
    return Stage(label, pictures, recognised(evidence, classes) if classes else {})


def _centred(draw: ImageDraw.ImageDraw, column: int, top: int, words: str, size: int) -> None:
    shown = fitted(words, _COLUMN - _GAP, size)
    left = _LABELS + column * _COLUMN + (_COLUMN - length(shown, size)) / 2
    write(draw, (left, top), shown, size, INK if size == LABEL else PALE)
