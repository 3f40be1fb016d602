"""Pictures inside the page, with the words beside them."""

import base64
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from audits.evidence.evidence import Evidence, Picture, Shows
from audits.report.contact_sheet import png
from audits.report.readings import class_name, reading_of
from audits.report.text import middle

SHOWN: dict[Shows, str] = {
    "image": "the real image",
    "mistaken": "a wrong answer",
    "masked": "the image with blanks",
    "update": "the update (red: brighter, blue: darker)",
    "drawing": "its own drawing",
    "blanks": "the blanks filled in",
    "class": "the drawing of the class",
    "filled": "the image wholly filled in",
    "nearest": "the nearest real image",
    "photograph": "the image",
    "smooth": "the blanks interpolated",
    "completed": "completed for its class",
    "foil": "completed for another class",
    "noise": "noise before the first step",
    "asked": "the picture of the class",
    "rests": "the parts that matter",
    "donor": "gives the piece",
    "other": "another image",
    "pasted": "with the piece",
    "places": "where the pieces were",
    "looked_at": "the image",
    "evidence": "where its answer rests (red: for it, blue: against it)",
    "pattern": "the pattern",
    "patches": "patches of the concept",
    "heat": "where an image has it",
    "enough": "patches that suffice",
    "rest": "the image without them",
    "tried": "the blanks that were tried",
    "hidden": "the weakest blank",
    "worst": "its worst fill",
}
"""What a picture shows, in the words of the page; of other pictures their captions say it."""

_LONGEST = 160  # pixels of a small picture on the page; MLflow has it whole
NAME = 12  # characters of a class name under a picture


class Tile(NamedTuple):
    """One picture on the page, or the words of an empty cell."""

    alt: str
    source: str  # "" if there is nothing to see
    missing: str = ""  # why
    reading: str = ""  # "read as 8, wrong"
    right: bool | None = None  # None: nobody asked the model
    title: str = ""


def source(image: np.ndarray, longest: int = _LONGEST) -> str:
    """The image as a data URI of a PNG; a larger one is made smaller."""
    shown = Image.fromarray(image)
    if max(shown.size) > longest:
        shown.thumbnail((longest, longest), Image.Resampling.BOX)
    return data_uri(shown)


def data_uri(image: Image.Image) -> str:
    """The image as a data URI of a PNG."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def large(picture: Picture) -> Tile:
    """A picture that stands for itself, in its own size."""
    alt = f"{picture.name}: {picture.caption}"
    return Tile(alt, source(picture.image, max(picture.image.shape)), title=alt)


def tile(picture: Picture, classes: Sequence[str], read_as: int | None = None) -> Tile:
    """A small picture with the class that the model sees in it, in words.

    `read_as` is that class, if the picture does not say it.
    """
    seen = picture.seen
    if seen is None:
        alt = f"{picture.name}: {picture.caption}"
        return Tile(alt, source(picture.image), title=alt)
    known = seen.read_as if seen.read_as is not None else read_as
    name, what = class_name(seen.label, classes), SHOWN.get(seen.shows, picture.caption)
    if seen.missing:
        return Tile(f"{name}: {what}, {seen.missing}", "", missing=seen.missing, right=False)
    if seen.shows == "nearest":
        true = "" if known is None else class_name(known, classes)
        alt = f"{name}: the nearest real image, of class {true}"
        return Tile(alt, source(picture.image), reading=f"of class {middle(true, NAME)}", title=alt)
    if known is None:
        alt = f"{name}: {what}"
        return Tile(alt, source(picture.image), title=alt)
    right = known == seen.label
    word = "right" if right else "wrong"
    read = class_name(known, classes)
    alt = f"{name}: {what} read as {read}, {word}"
    reading = f"read as {middle(read, NAME)}, {word}"
    return Tile(alt, source(picture.image), reading=reading, right=right, title=alt)


def read_as(picture: Picture, classes: Sequence[str]) -> str:
    """The class that the model sees in a picture: "read as 8, wrong"; empty if nobody asked it."""
    seen = picture.seen
    if seen is None or seen.read_as is None or seen.missing:
        return ""
    reading = reading_of(seen, classes)
    if seen.reader == "reference" and reading is not None:
        return reading.told
    word = "right" if seen.read_as == seen.label else "wrong"
    return f"read as {class_name(seen.read_as, classes)}, {word}"


def shown(evidence: Iterable[Evidence], what: Shows) -> dict[int, Picture]:
    """The pictures of this kind by their class, of the first check that has some."""
    for one in evidence:
        found = {
            p.seen.label: p
            for p in (*one.pictures, *one.examples)
            if p.seen is not None and p.seen.shows == what
        }
        if found:
            return found
    return {}
