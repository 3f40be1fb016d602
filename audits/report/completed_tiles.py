"""Completed images on the page: their pictures with the words beside them."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from audits.evidence.evidence import Evidence
from audits.report import completed
from audits.report.completed import Completed, Shot
from audits.report.pictures import SHOWN, Tile, source
from audits.report.readings import reading_of

_FIRST = 2  # images on the first screen: the worst and the best
_SMALL = 64  # pixels; larger pictures are photographs, for which a PNG is too many bytes
_QUALITY = 85


class ShotTile(NamedTuple):
    """One picture of an image, with the words above and below it."""

    head: str
    of: str  # "asked: espresso", or ""
    tile: Tile


class ImageTiles(NamedTuple):
    """An image with its pictures."""

    name: str  # of its class
    told: str  # "the reference tells its fills apart", or ""
    shots: tuple[ShotTile, ...]


class FirstImages(NamedTuple):
    """The images on the first screen."""

    images: tuple[ImageTiles, ...]
    told: str  # which of all they are


def first_images(evidence: Sequence[Evidence], classes: Sequence[str]) -> FirstImages | None:
    """The images that stand on the first screen; None if other pictures do."""
    if not completed.come_first(evidence):
        return None
    found = completed.completed(evidence, classes)
    shown = [found[at] for at in completed.spread(len(found), _FIRST)]
    told = completed.told_order(len(shown), found)
    return FirstImages(tuple(_tiles(image, classes) for image in shown), told)


def tiles_of(evidence: Evidence, classes: Sequence[str]) -> tuple[ImageTiles, ...]:
    """All images that a check completed; () if it completed none."""
    found = completed.of_check(evidence, classes)
    return tuple(_tiles(image, classes) for image in found)


def _tiles(image: Completed, classes: Sequence[str]) -> ImageTiles:
    apart = {
        None: "",
        True: "the reference tells its two fills apart",
        False: "the reference cannot tell its two fills apart",
    }
    shots = tuple(
        ShotTile(shot.head, _asked(shot), _tile(image.name, shot, classes)) for shot in image.shots
    )
    return ImageTiles(image.name, apart[image.told_apart], shots)


def _asked(shot: Shot) -> str:
    if not shot.of:
        return ""
    return shot.of if shot.head == completed.HEADS["photograph"] else f"asked: {shot.of}"


def _tile(name: str, shot: Shot, classes: Sequence[str]) -> Tile:
    seen = shot.picture.seen
    reading = reading_of(seen, classes)
    what = shot.head if seen is None else SHOWN[seen.shows]
    asked = f" ({_asked(shot)})" if seen is not None and seen.shows == "foil" else ""
    alt = f"{name}: {what}{asked}" + (f", {reading.told}" if reading else "")
    return Tile(
        alt,
        _source(shot.picture.image),
        reading=reading.told if reading else "",
        # Nobody asked for a class in blanks and null, so it is no fault if none is read there.
        right=reading.right if reading and shot.of else None,
        title=alt,
    )


def _source(image: np.ndarray) -> str:
    if max(image.shape[:2]) <= _SMALL:
        return source(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
