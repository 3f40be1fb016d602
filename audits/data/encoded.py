"""Encoded: one image file, or the bytes of one in a table, and how it is decoded."""

import importlib
import importlib.util
import io
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from audits.data.pixels import Pixels
from audits.data.places import expect_ordinary
from audits.errors import AuditError

# The errors of Pillow and its plug-ins for a file that is damaged or of a kind they do not read.
UNREADABLE = (
    *(OSError, EOFError, ValueError, SyntaxError, RuntimeError, TypeError, LookupError),
    *(OverflowError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError),
)
HEIF = (".heic", ".heif", ".hif")
# Pillow goes by the content of a file, not by its name. Of its formats EPS starts Ghostscript, and
# others hand the file to whatever a package registers for them.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF", "HEIF", "JPEG2000", "DIB", "DDS"),
    *("ICNS", "ICO", "PCX", "PSD", "QOI", "SGI", "SUN"),
    "TGA",  # last, since it has no mark by which it is known
)
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # and is_deep
# Tags and values of TIFF 6.0.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _SIGNED = 339, 2
_MOST_BYTES = 1 << 30  # of a file: as many pixels as Pillow takes, uncompressed, have 0.7 GiB
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system: 2 s (FAT)


class Stamp(NamedTuple):
    """Facts of the file system about a file; some change if the file is written."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def settled(self) -> bool:
        """Whether a later change is sure to be seen: the clock has gone on since the last one."""
        return time.time_ns() - self.mtime_ns > _SETTLED_NS


@dataclass(frozen=True)
class Encoded:
    """An image at `path`, or in `data`; `name` is for messages. Its methods raise AuditError.

    If neither can be had, `fault` says why.
    """

    name: str
    path: Path | None = None
    data: bytes = b""
    fault: str = ""

    def stamp(self) -> Stamp | None:
        """A value that changes if the file is written; None for bytes, which never change."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in its path
            raise self.unreadable(error) from error
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def content(self) -> bytes:
        if self.path is None:
            return self.data
        try:
            with self.stream() as stream:
                return stream.read()
        except (OSError, AuditError) as error:
            raise self.unreadable(error) from error

    def pixels(self, bits: int | None = None) -> Pixels:
        """The decoded image. Grey of 16 bits is divided by its own white, or that of `bits`."""
        try:
            with self.opened() as image:
                return _decoded(image, bits)
        except UNREADABLE as error:
            raise self.unreadable(error) from error

    @contextmanager
    def opened(self) -> Iterator[ImageFile.ImageFile]:
        """The image with its header read. Raises what is in UNREADABLE."""
        heif = self.path is not None and self.path.suffix.lower() in HEIF
        if heif and not register_heif():
            raise OSError("HEIC needs a plug-in: pip install pillow-heif")
        with self.stream() as stream, warnings.catch_warnings():
            # Pillow's warnings (damaged EXIF data, a large image) do not name the file.
            warnings.simplefilter("ignore")
            with Image.open(stream, formats=_formats()) as image:
                yield image

    def stream(self) -> BinaryIO:
        """The bytes. Raises what is in UNREADABLE."""
        if self.fault:
            raise OSError(self.fault)
        if self.path is None:
            return io.BytesIO(self.data)
        expect_ordinary(self.path)
        if not self.path.is_file():  # a pipe would wait for ever
            raise FileNotFoundError(self.path) if not self.path.exists() else OSError("no file")
        if self.path.stat().st_size > _MOST_BYTES:
            raise OSError(f"more than {_MOST_BYTES >> 20:,} MiB")
        return self.path.open("rb")

    def unreadable(self, error: BaseException) -> AuditError:
        place = self.path or self.name
        return AuditError(f"Expected an image that can be read at {place}: {why(error)}.")


def why(error: BaseException) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a kind that is taken"
    if isinstance(error, Image.DecompressionBombError):
        return f"over-large, more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, FileNotFoundError):
        return "not there"
    text = " ".join(str(error).split()).rstrip(".")
    return (
        "truncated" if "truncated" in text.lower() else text or f"damaged: {type(error).__name__}"
    )


@cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that Pillow reads in this environment."""
    register_heif()
    Image.init()
    return tuple(one for one in _FORMATS if one in Image.OPEN)


@cache
def register_heif() -> bool:
    """Makes Pillow read HEIC if pillow-heif is installed; says whether it is."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, of what Pillow gives; 1 if there is none that makes sense."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if found in range(1, 9) else 1


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey of 9 to 16 bits. Pillow opens a deep PGM as 32 bits, scaled to 16."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def stated_bits(image: ImageFile.ImageFile) -> int | None:
    """The bits of white in deep grey, if a file of this kind says so; None if it may have fewer.

    12 bits that are packed stay as they are. Pillow scales PGM and JPEG 2000 to 16 bits.
    """
    if any("I;12" in (tile[3] or ()) for tile in image.tile):
        return 12
    return 16 if image.format in ("PPM", "JPEG2000") else None


def expect_known_pixels(image: ImageFile.ImageFile) -> None:
    """Raises ValueError unless everybody turns pixels of this kind into the same grey or RGB."""
    deep, tags = is_deep(image), getattr(image, "tag_v2", {})
    if image.mode in ("I", "F") and not deep:  # nobody says which value is white
        raise ValueError("32 bits a channel instead of 8 or 16: convert it")
    if image.mode not in _MODES and not deep:
        raise ValueError(f"pixels of the mode {image.mode} instead of grey or RGB: convert it")
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):  # Pillow takes -1 for 255
        raise ValueError("pixels below 0: convert it to unsigned numbers")
    if deep and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts 8 bits alone
        raise ValueError("16 bits a channel whose white is 0: convert it to one whose black is 0")
    # Pillow compares the value with pixels of 8 bits.
    raw = str(image.tile[0][3]) if image.tile else ""
    scaled_to_8 = image.format == "PNG" and image.mode in ("L", "RGB") and ";" in raw
    if "transparency" in image.info and (deep or scaled_to_8):
        raise ValueError(
            "a transparent value, with other than 8 bits a channel: give it an alpha channel"
        )


def _decoded(image: ImageFile.ImageFile, bits: int | None) -> Pixels:
    expect_known_pixels(image)
    stated = stated_bits(image)
    image.load()
    turn = orientation_of(image)
    if is_deep(image):
        array = np.asarray(image).astype(np.uint16)
        return Pixels(scaled(array, stated or bits), turn)
    if image.has_transparency_data:
        grey = image.mode in ("1", "L")
        return Pixels(np.asarray(image.convert("LA" if grey else "RGBA")), turn, alpha=True)
    grey = image.mode in ("1", "L")
    return Pixels(np.asarray(image.convert("L" if grey else "RGB")), turn)


def scaled(array: np.ndarray, bits: int | None) -> np.ndarray:
    """uint16 whose white is 2**bits - 1, as float32 in [0, 1]; any other array as it is.

    Raises ValueError if a value does not fit into `bits`.
    """
    if bits is None or array.dtype != np.uint16:
        return array
    white = (1 << bits) - 1
    if array.size and array.max() > white:
        raise ValueError(f"a value of {array.max()} where bits: {bits} allows {white}")
    return array / np.float32(white)
