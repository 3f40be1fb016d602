"""Remembered: hashes and decoded pixels of images, so that each file is read once in a process."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from audits.data.encoded import Stamp
from audits.data.pixels import Pixels

Read = Callable[[int], "np.ndarray | Pixels"]
Content = Callable[[int], bytes]
Stamps = Callable[[int], Stamp | None]

_BYTES = 64 << 20  # of decoded pixels


class Sources(NamedTuple):
    """Where an ImageSet has its images from; see there."""

    read: Read
    content: Content
    stamp: Stamps | None


class Remembered:
    """Hashes and pixels read from `sources`, by image and by the stamp that its file had before.

    Without stamps the images are in memory and do not change: then hashes are kept, and pixels are
    read anew. A file that was written less than 2 s ago is read anew too: its clock may not show
    the next change. Pixels are kept for the first 64 MiB of images.
    """

    def __init__(self, sources: Sources):
        self.sources = sources
        self._hashes: dict[int, tuple[Stamp | None, bytes]] = {}
        self._pixels: dict[int, tuple[Stamp | None, Pixels]] = {}
        self._bytes = 0

    def sha256(self, index: int) -> bytes:
        """Of the image's content."""
        stamp = self._stamp(index)
        kept = self._hashes.get(index)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = hashlib.sha256(self.sources.content(index)).digest()
        if stamp is None or stamp.settled:
            self._hashes[index] = (stamp, found)
        return found

    def pixels(self, index: int) -> Pixels:
        """The image as its file stores it."""
        stamp = self._stamp(index)
        kept = self._pixels.get(index)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        read = self.sources.read(index)
        found = read if isinstance(read, Pixels) else Pixels(np.asarray(read))
        fits = self._bytes + found.array.nbytes <= _BYTES
        if stamp is not None and stamp.settled and (fits or kept is not None):
            self._bytes += found.array.nbytes - (kept[1].array.nbytes if kept else 0)
            self._pixels[index] = (stamp, found)
        return found

    def _stamp(self, index: int) -> Stamp | None:
        return self.sources.stamp(index) if self.sources.stamp is not None else None
