"""ImageSet: labelled images that are read one by one and fitted to a model's input shape."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audits.data.fit import AS_IT_IS, Fit, fitted
from audits.data.pixels import to_tensor
from audits.data.remembered import Content, Hashes, Read, Remembered, Sources, Stamps
from audits.data.resized_bytes import ways
from audits.data.scan import NOT_SCANNED, Scan
from audits.data.table_columns import TableColumns, digest
from audits.errors import AuditError, few, quoted
from fillblanks.masks import keys

MOST_CLASSES = 100_000
"""No classifier has more; a label or an index that is larger is a mistake."""

_NO_DRAW = -1  # masks use keys of the draws 0, 1, ...
_RESIZED = {
    "stretch": "resized",
    "crop": "resized and cropped",
    "squash": "squashed to a square and cropped",
    "pad": "resized and padded",
}


class LogitOrder(Protocol):
    """The names of a model's logits, and the logit of each class of a data set."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def order(self) -> np.ndarray: ...


@dataclass(frozen=True)
class ImageSet:
    """N labelled images; an image's index here is its identity for masks.

    `read(i)` gives image i as its file stores it: `Pixels`, or an array of uint8, uint16 or float
    in [0, 1], of shape (H, W) or (H, W, C). `content(i)` gives the bytes of image i for digests.
    `stamp(i)` changes if image i may have changed; None if images never do. `files` are those of
    the images, if each has one. `labels` are int64 (N,), indices into `classes`. `fit` describes
    the model's inputs. `scan` is what a look at the files found. `columns` are those of the table
    that names the images, if there is one. Raises AuditError if there are no images, if two classes
    have one name, and if a label is not an index into `classes`.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    read: Read
    content: Content
    fit: Fit = AS_IT_IS
    stamp: Stamps | None = None
    scan: Scan = NOT_SCANNED
    files: tuple[Path, ...] = field(default=(), repr=False, compare=False)
    columns: TableColumns = field(default=TableColumns(), repr=False, compare=False)
    remembered: Remembered | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise AuditError(f"Expected images in {self.name}, found none. Check its path.")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise AuditError(
                f"Expected different class names in {self.name}, got {quoted(twice)} twice."
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise AuditError(
                f"Expected labels from 0 to {len(self.classes) - 1} in {self.name} (it has "
                f"{len(self.classes)} classes), got {low if low < 0 else high}."
            )
        sources = Sources(self.read, self.content, self.stamp)
        if self.remembered is None or self.remembered.sources != sources:
            object.__setattr__(self, "remembered", Remembered(sources))

    @property
    def _memory(self) -> Remembered:
        """Shared by sets of the same files that differ in labels or fit."""
        assert self.remembered is not None
        return self.remembered

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of images that cannot be read and are no part of this set, with the reasons."""
        return self.scan.skipped

    def __len__(self) -> int:
        return len(self.labels)

    def for_model(self, classes: LogitOrder | None, fit: Fit) -> "ImageSet":
        """This set with logits of a model as labels and images fitted to the model.

        `classes` None leaves the set's own classes. Raises AuditError for grey images of more than
        8 bits if `fit` does not take them.
        """
        if self.scan.deep and not fit.deep:
            raise AuditError(
                f"Expected images of 8 bits, got {self.scan.deep} of more in {self.name}. Where "
                "the model is served, all values above 255 are white. Convert the images to 8 bits."
            )
        if classes is None:
            return replace(self, fit=fit)
        labels = classes.order[self.labels]
        return replace(self, classes=classes.names, labels=labels, fit=fit)

    def part(self, chosen: np.ndarray, name: str) -> "ImageSet":
        """The images at the indices `chosen`, int64 (n,), as a set of their own.

        `files` stay those of the whole set: another process reads the whole set first.
        """
        rows = chosen.tolist()
        read, content, stamp = self.read, self.content, self.stamp
        return replace(
            self,
            name=name,
            labels=self.labels[chosen],
            read=lambda i: read(rows[i]),
            content=lambda i: content(rows[i]),
            stamp=None if stamp is None else lambda i: stamp(rows[i]),
            columns=self.columns.part(chosen),
        )

    def tensor(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """Images as float32 (n, C, H, W) in [0, 1], resized and recoloured by `fit`.

        Raises AuditError for an image that cannot be read, and for images of several sizes if
        `fit` has no size.
        """
        images = [self._image(int(i)) for i in indices]
        sizes = {tuple(image.shape) for image in images}
        if len(sizes) > 1:
            raise AuditError(
                f"Expected images of one size in {self.name}, got {few(sorted(sizes))}, and the "
                "model's signature names no size. Resize the images."
            )
        return torch.stack(images)

    def resized_by_servers(self, indices: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """As `tensor`, but resized with 8 bits a value, by the way in words.

        Empty if none of these images is resized.
        """
        raw = [self._raw(int(i)) for i in indices]
        if all(fitted(one, self.fit).shape[1:] == one.shape[1:] for one in raw):
            return {}
        return {
            way: torch.stack([fitted(one, self.fit, scale) for one in raw])
            for way, scale in ways(self.fit).items()
        }

    def file(self, index: int) -> bytes:
        """An image as a file that a client may send: its own, or a PNG of its 8 bits."""
        if self.files:
            return self._memory.sources.content(index)
        levels = (self._raw(index) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        written = io.BytesIO()
        Image.fromarray(levels.squeeze()).save(written, "PNG")
        return written.getvalue()

    def adaptations(self) -> list[str]:
        """Sentences about the changes that fit images to the model; only the first is looked at."""
        raw = self._raw(0)
        given = fitted(raw, self.fit)
        done = []
        if raw.shape[0] != given.shape[0]:
            done.append(f"Images are turned from {raw.shape[0]} to {given.shape[0]} channel(s).")
        if raw.shape[1:] != given.shape[1:]:
            done.append(
                f"Images are {_RESIZED[self.fit.resize]} from {raw.shape[1]}x{raw.shape[2]} (the "
                f"first) to {given.shape[1]}x{given.shape[2]}."
            )
        return done

    def notes(self) -> list[str]:
        """Sentences about the files: what was left out, and how turned and transparent are read."""
        found = [*self.scan.told_in_verdict, *self.scan.notes, *self.scan.questions]
        looked_at = self.scan.images - len(self.scan.lost)  # a sample has fewer
        if self.scan.turned:
            applied = (
                "applied."
                if self.fit.exif
                else "not applied; set preprocessing.exif: true if your training applied it."
            )
            found.append(
                f"{self.scan.turned} of {looked_at} images carry an EXIF rotation that is {applied}"
            )
        if self.scan.transparent:
            shown = (
                "whose hidden colour is shown."
                if self.fit.alpha == "drop"
                else f"put over the colour {self.fit.alpha}."
            )
            found.append(
                f"{self.scan.transparent} of {self.scan.alphas} images with an alpha channel that "
                f"were looked at have transparent parts, {shown}"
            )
        return found

    def weaknesses(self) -> list[str]:
        """Sentences about copies among the images and about classes without an image."""
        found = []
        contents = {self._memory.sha256(i) for i in range(len(self))}
        if len(contents) < len(self):
            copies = len(self) - len(contents)
            found.append(
                f"{copies} of {len(self)} images are copies of others; intervals count all."
            )
        present = set(self.labels.tolist())
        absent = [name for i, name in enumerate(self.classes) if i not in present]
        if absent:
            found.append(
                f"{len(absent)} of {len(self.classes)} classes have no image and are in no "
                f"average: {few(absent)}"
            )
        return found

    def digest(self, indices: Sequence[int] | np.ndarray) -> str:
        """sha256 of these images and labels, their indices, the class names and the fit.

        A file is hashed once: later its hash is taken for valid as long as its size, its times of
        change and its inode are the same.
        """
        digest = hashlib.sha256(repr((self.classes, self.fit)).encode())
        for i in indices:
            digest.update(f"{int(i)} {int(self.labels[i])} ".encode())
            digest.update(self._memory.sha256(int(i)))
        return digest.hexdigest()

    def column(self, name: str) -> tuple[str | None, ...]:
        """The value of each image in a column of its table, as text; None for a missing value.

        Raises AuditError, with the nearest names, if there is no such column.
        """
        return self.columns.values(name, self.name)

    def columns_digest(self, names: Iterable[str]) -> str:
        """sha256 of the values of these columns."""
        return digest([self.column(name) for name in names])

    def hashes(self, indices: Iterable[int]) -> Hashes:
        """The known hashes of these images' files, for `learn` in another process."""
        return self._memory.hashes(indices)

    def learn(self, hashes: Hashes) -> None:
        """Spares this set the hashing of files that another process has hashed."""
        self._memory.learn(hashes)

    def sampled_order(self, seed: int) -> np.ndarray:
        """All indices, int64 (N,): one image of each class, then a second of each, and so on.

        `seed` draws the order within a class, so the first n are a random sample that is balanced
        over the classes, whatever the order of the files. The same seed gives the same order on
        every machine.
        """
        indices = torch.arange(len(self))
        drawn = keys(seed, indices, torch.full_like(indices, _NO_DRAW), 1)[:, 0].numpy()
        rank = np.zeros(len(self), dtype=np.int64)
        for label in np.unique(self.labels):
            of_class = np.flatnonzero(self.labels == label)
            rank[of_class[np.argsort(drawn[of_class])]] = np.arange(len(of_class))
        return np.lexsort((self.labels, rank))

    def _image(self, index: int) -> Tensor:
        return fitted(self._raw(index), self.fit)

    def _raw(self, index: int) -> Tensor:
        return to_tensor(self._memory.pixels(index), self.fit, f"{self.name}, image {index}")
