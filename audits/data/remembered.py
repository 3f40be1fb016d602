"""Remembered: hashes and decoded pixels of images, so that no file is hashed or decoded twice."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from audits.data.encoded import Stamp
from audits.data.kept_pixels import KeptPixels
from audits.data.pixels import Pixels

Read = Callable[[int], "np.ndarray | Pixels"]
Content = Callable[[int], bytes]
Stamps = Callable[[int], Stamp | None]
Hashes = Mapping[int, tuple[Stamp, bytes]]
"""The sha256 of image files by index, with the stamp that each file had before it was read."""


class Sources(NamedTuple):
    """Where an ImageSet has its images from; see there."""

    read: Read
    content: Content
    stamp: Stamps | None


class Remembered:
    """Hashes and pixels read from `sources`, by image and by the stamp that its file had before.

    Without stamps the images are in memory and do not change: then hashes are kept, and pixels are
    read anew. A file that was written less than 2 s ago is read anew too: its clock may not show
    the next change.
    """

    def __init__(self, sources: Sources):
        self.sources = sources
        self._hashes: dict[int, tuple[Stamp | None, bytes]] = {}
        self._decoded: dict[int, Stamp] = {}
        self._pixels = KeptPixels()

    def hashes(self, indices: Iterable[int]) -> Hashes:
        """Those that are known of these images' files, for another process that reads them."""
        known = ((index, self._hashes.get(index)) for index in indices)
        return {
            index: (found[0], found[1])
            for index, found in known
            if found is not None and found[0] is not None
        }

    def learn(self, hashes: Hashes) -> None:
        """Takes over hashes. Each counts as long as the file here has the stamp that it had."""
        self._hashes.update(hashes)

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
        kept = self._pixels.get(index) if self._decoded.get(index) == stamp else None
        if kept is not None:
            return kept
        read = self.sources.read(index)
        found = read if isinstance(read, Pixels) else Pixels(np.asarray(read))
        if stamp is not None and stamp.settled:
            self._decoded[index] = stamp
            self._pixels.put(index, found)
        return found

    def _stamp(self, index: int) -> Stamp | None:
        return self.sources.stamp(index) if self.sources.stamp is not None else None
