"""Scan: what a look at every image file of a data set found, before anything is measured."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ImageFile

from audits.data.encoded import (
    UNREADABLE,
    Encoded,
    Stamp,
    expect_known_pixels,
    is_deep,
    orientation_of,
    stated_bits,
    why,
)
from audits.errors import AuditError

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # files looked at, files in all

_NOTICE = logging.INFO + 5  # of lines that a person should find in the terminal
_SECONDS = 5.0  # between lines of progress
_NAMED = 10
_LONGEST = 80  # characters of a name in a message
DEPTHS_LOOKED_AT = 24  # images whose depth is looked at
_ALPHAS_LOOKED_AT = 64
_TAIL = 1 << 16
_12_BITS = 4095
_TURNED_BY_PILLOW = ("TIFF", "HEIF")


@dataclass(frozen=True)
class Scan:
    """Sentences and counts about the files of a data set; empty for arrays.

    `turned` counts images whose EXIF orientation is not 1, `deep` grey ones of 9 to 16 bits. Of the
    images with an alpha channel `alphas` were looked at, of which `transparent` are not opaque
    everywhere. `questions` are about settings that decide the figures and that nobody has named.
    `lost` are the indices of images that cannot be read, `skipped` their names with reasons.
    """

    images: int = 0
    lost: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    turned: int = 0
    deep: int = 0
    alphas: int = 0
    transparent: int = 0

    @property
    def told_in_verdict(self) -> tuple[str, ...]:
        """Sentences that a reader of the verdict alone must not miss."""
        if not self.skipped:
            return ()
        return (
            f"{len(self.skipped)} of {self.images} image files cannot be read and are left out: "
            f"{named(self.skipped)}.",
        )

    def noting(self, sentences: Sequence[str]) -> "Scan":
        """This scan with further notes in front of its own."""
        return replace(self, notes=(*sentences, *self.notes))


NOT_SCANNED = Scan()


class _Look(NamedTuple):
    """The facts about one file that its header gives."""

    fault: str = ""
    turned: bool = False
    alpha: bool = False
    deep: bool = False  # grey of 9 to 16 bits
    stated: bool = False  # the file says which value of its deep grey is white
    narrowed: bool = False  # 16 bits a colour channel, of which Pillow reads 8
    cmyk: bool = False
    frames: bool = False


def scan(images: Sequence[Encoded], bits: int | None, progress: Progress | None = None) -> Scan:
    """Opens every image once; a file that has not changed since it was last opened is remembered.

    `bits` is the depth that the config names for grey images of 16 bits.
    """
    looks = []
    progress = progress or told_in_log()
    for image in images:
        looks.append(_look(image))
        progress(len(looks), len(images))
    readable = [i for i, look in enumerate(looks) if not look.fault]
    wide = [images[i] for i in readable if looks[i].deep and not looks[i].stated]
    alpha = [images[i] for i in readable if looks[i].alpha]
    alpha = [alpha[i] for i in _spread(len(alpha), _ALPHAS_LOOKED_AT)]
    lost = tuple(i for i, look in enumerate(looks) if look.fault)
    return Scan(
        images=len(images),
        lost=lost,
        skipped=tuple(f"{images[i].name} ({looks[i].fault})" for i in lost),
        notes=tuple(_notes([looks[i] for i in readable])),
        questions=tuple(_depth_in_doubt(wide) if bits is None else ()),
        turned=sum(looks[i].turned for i in readable),
        deep=sum(looks[i].deep for i in readable),
        alphas=len(alpha),
        transparent=sum(_has_holes(image) for image in alpha),
    )


def named(names: Sequence[str]) -> str:
    """The first ten names, each on one line and not too long, and how many more there are."""
    shown = [" ".join(name.split()) for name in names[:_NAMED]]
    shown = [n if len(n) <= _LONGEST else f"{n[:20]}...{n[23 - _LONGEST :]}" for n in shown]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def told_in_log() -> Progress:
    """Progress as lines in the log, at most one in five seconds, and none for a short scan."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS:
            last = time.monotonic()
            told = f"{done:,}", f"{total:,}"
            log.log(_NOTICE, "looked at %s of %s files", *told, extra={"passing": True})

    return tell


def depth_question(arrays: Sequence[np.ndarray]) -> list[str]:
    """A question about grey arrays of uint16 whose values would all fit into 12 bits."""
    highest = max((int(array.max()) for array in arrays if array.size), default=0)
    if not 0 < highest <= _12_BITS:
        return []
    return [
        f"The {len(arrays)} images of 16 bits that were looked at have no value above {highest}: "
        "they may hold 12 bits. Set data.bits: 12 if 4095 is white, or data.bits: 16 if 65535 is."
    ]


def _notes(looks: Sequence[_Look]) -> list[str]:
    told = {
        "are CMYK: they are converted to RGB without their colour profile.": "cmyk",
        "have 16 bits a colour channel, of which 8 are read.": "narrowed",
        "have several frames, of which the first is taken.": "frames",
    }
    counts = {says: sum(getattr(look, field) for look in looks) for says, field in told.items()}
    return [f"{n} of {len(looks)} images {says}" for says, n in counts.items() if n]


def _look(image: Encoded) -> _Look:
    try:
        stamp = image.stamp()
    except AuditError as error:
        return _Look(why(error.__cause__ or error))
    if image.path is None or stamp is None or not stamp.settled:
        return _looked(image)
    return _remembered(image.path, stamp)


@lru_cache(maxsize=100_000)
def _remembered(path: Path, stamp: Stamp) -> _Look:
    return _looked(Encoded(path.name, path))


def _looked(image: Encoded) -> _Look:
    try:
        with image.opened() as found:
            expect_known_pixels(found)
            raw = str(found.tile[0][3]) if found.tile else ""
            kind = found.format
            # PngImageFile.getexif would decode the whole image to find a tag behind the pixels.
            tagged = kind not in _TURNED_BY_PILLOW and (kind != "PNG" or "exif" in found.info)
            look = _Look(
                turned=tagged and orientation_of(found) != 1,
                alpha=found.has_transparency_data and not is_deep(found),
                deep=is_deep(found),
                stated=stated_bits(found) is not None,
                narrowed=not is_deep(found) and ";16" in raw,
                cmyk=found.mode == "CMYK",
                frames=kind != "MPO" and bool(getattr(found, "is_animated", False)),
            )
            if not _is_complete(image, found):
                found.load()
            return look
    except UNREADABLE as error:
        return _Look(why(error))


def _is_complete(image: Encoded, found: ImageFile.ImageFile) -> bool:
    """Whether the file's end and checksums say, without decoding, that all of it is there."""
    if found.format == "PNG":
        with image.opened() as again:
            again.verify()
        return True
    if found.format not in ("JPEG", "MPO"):
        return False
    # Between the start of the scan, where Pillow has stopped, and the end of the file only the
    # end of the image has this marker. A thumbnail stands before it.
    start = found.fp.tell() if found.format == "JPEG" and found.fp is not None else 0
    with image.stream() as stream:
        stream.seek(max(start, stream.seek(0, 2) - _TAIL))
        return b"\xff\xd9" in stream.read()


def _depth_in_doubt(images: Sequence[Encoded]) -> list[str]:
    arrays = [_array(images[i]) for i in _spread(len(images), DEPTHS_LOOKED_AT)]
    return depth_question([array for array in arrays if array is not None])


def _has_holes(image: Encoded) -> bool:
    array = _array(image)
    if array is None or array.ndim < 3:
        return False
    return bool(array[:, :, -1].min() < np.iinfo(array.dtype).max)


def _array(image: Encoded) -> np.ndarray | None:
    try:
        return image.pixels().array
    except AuditError:  # its pixels are damaged: measuring it says so by name
        return None


def _spread(total: int, most: int) -> list[int]:
    """At most `most` indices below `total`, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, total - 1, min(total, most)).round())]
