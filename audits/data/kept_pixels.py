"""KeptPixels: decoded images, in memory as far as they fit and then in a temporary file."""

import logging
import os
import tempfile
import threading
import weakref
from typing import IO, NamedTuple

import numpy as np

from audits.data.pixels import Pixels

log = logging.getLogger(__name__)

_IN_MEMORY = 64 << 20  # bytes of pixels
_IN_FILE = 8 << 30


class _Place(NamedTuple):
    """Where the file has an image's array, and all of the image but its array."""

    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    orientation: int
    alpha: bool


class KeptPixels:
    """Decoded images by index: 64 MiB in memory, up to 8 GiB more in a temporary file.

    The system removes the file with the process, however that ends. If the disk is full, no more
    images are kept.
    """

    def __init__(self) -> None:
        self._memory: dict[int, Pixels] = {}
        self._places: dict[int, _Place] = {}
        self._bytes = 0  # in memory
        self._end = 0  # of the file
        self._room = _IN_FILE
        self._file: IO[bytes] | None = None
        self._turn = threading.Lock()

    def get(self, index: int) -> Pixels | None:
        """The image, or None if it is not kept. Its array must not be changed."""
        if index in self._memory:
            return self._memory[index]
        place = self._places.get(index)
        if place is None or self._file is None:
            return None
        count = int(np.prod(place.shape))
        data = os.pread(self._file.fileno(), count * place.dtype.itemsize, place.offset)
        array = np.frombuffer(data, place.dtype).reshape(place.shape)
        return Pixels(array, place.orientation, place.alpha)

    def put(self, index: int, pixels: Pixels) -> None:
        """Keeps the image in place of an older one, if there is room."""
        with self._turn:
            self._places.pop(index, None)
            if (old := self._memory.pop(index, None)) is not None:
                self._bytes -= old.array.nbytes
            size = pixels.array.nbytes
            if self._bytes + size <= _IN_MEMORY:
                self._memory[index] = pixels
                self._bytes += size
            elif self._end + size <= self._room:
                self._write(index, pixels)

    def _write(self, index: int, pixels: Pixels) -> None:
        array = np.ascontiguousarray(pixels.array)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="fillblanks-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            written = os.pwrite(self._file.fileno(), array.data.cast("B"), self._end)
        except OSError as error:
            log.info("decoded images are no longer kept: %s", error)
            written = 0
        if written < array.nbytes:
            self._room = 0  # the disk is full
            return
        place = (array.dtype, array.shape, pixels.orientation, pixels.alpha)
        self._places[index] = _Place(self._end, *place)
        self._end += array.nbytes
