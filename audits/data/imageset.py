"""ImageSet: labelled images that are read one by one and fitted to a model's input shape."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from audits.data.fit import AS_IT_IS, Fit, fitted
from audits.errors import AuditError, few, quoted
from fillblanks.masks import keys

_NO_DRAW = -1  # masks use keys of the draws 0, 1, ...


class LogitOrder(Protocol):
    """The names of a model's logits, and the logit of each class of a data set."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def order(self) -> np.ndarray: ...


@dataclass(frozen=True)
class ImageSet:
    """N labelled images; an image's index here is its identity for masks.

    `read(i)` gives image i as uint8, uint16 or float in [0, 1], shape (H, W) or (H, W, C);
    `content(i)` gives the bytes of image i for digests. `labels` are int64 (N,), indices into
    `classes`. `fit` describes the model's inputs. Raises AuditError if there are no images,
    if two classes have one name, and if a label is not an index into `classes`.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    read: Callable[[int], np.ndarray]
    content: Callable[[int], bytes]
    fit: Fit = AS_IT_IS

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

    def __len__(self) -> int:
        return len(self.labels)

    def for_model(self, classes: LogitOrder | None, fit: Fit) -> "ImageSet":
        """This set with logits of a model as labels and images fitted to the model.

        `classes` None leaves the set's own classes.
        """
        if classes is None:
            return replace(self, fit=fit)
        labels = classes.order[self.labels]
        return replace(self, classes=classes.names, labels=labels, fit=fit)

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

    def adaptations(self) -> list[str]:
        """Sentences about the changes that fit images to the model; only the first is looked at."""
        raw = _to_tensor(self.read(0), self.name)
        given = fitted(raw, self.fit)
        done = []
        if raw.shape[0] != given.shape[0]:
            done.append(f"Images are turned from {raw.shape[0]} to {given.shape[0]} channel(s).")
        if raw.shape[1:] != given.shape[1:]:
            done.append(
                f"Images are resized from {raw.shape[1]}x{raw.shape[2]} (the first) to "
                f"{given.shape[1]}x{given.shape[2]}."
            )
        return done

    def weaknesses(self) -> list[str]:
        """Sentences about copies among the images and about classes without an image."""
        found = []
        contents = {hashlib.sha256(self.content(i)).digest() for i in range(len(self))}
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
        """sha256 of these images and labels, their indices, the class names and the fit."""
        digest = hashlib.sha256(repr((self.classes, self.fit)).encode())
        for i in indices:
            content = self.content(int(i))
            digest.update(f"{int(i)} {int(self.labels[i])} {len(content)} ".encode())
            digest.update(content)
        return digest.hexdigest()

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
        return fitted(_to_tensor(self.read(index), f"{self.name}, image {index}"), self.fit)


def _to_tensor(image: np.ndarray, name: str) -> Tensor:
    """(H, W) or (H, W, C) of uint8, uint16 or float -> float32 (C, H, W) in [0, 1]."""
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise AuditError(
            f"Expected images of shape (H, W), (H, W, 1) or (H, W, 3), got {image.shape} in {name}."
        )
    if image.dtype in (np.uint8, np.uint16):
        image = image / np.float32(np.iinfo(image.dtype).max)
    elif not np.issubdtype(image.dtype, np.floating):
        raise AuditError(f"Expected uint8, uint16 or float images, got {image.dtype} in {name}.")
    elif not (image.min() >= 0 and image.max() <= 1):
        raise AuditError(
            f"Expected float images in [0, 1], got values from {image.min()} to {image.max()} in "
            f"{name}. Divide by 255, or store them as uint8."
        )
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))
