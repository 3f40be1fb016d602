"""Boxes: the part of each image that a person has framed, from four columns of the data's table."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from audits.data.encoded import Encoded
from audits.data.fit import Fit
from audits.data.imageset import ImageSet
from audits.data.pixels import to_tensor
from audits.errors import AuditError

_MIDDLE = 0.5  # of a pixel


class Boxes:
    """Boxes in pixels of the image files, as a viewer shows these: left, top, right, bottom.

    `columns` are the names of four columns of the table, in that order. The upper left corner of an
    image is (0, 0); a pixel is in a box if its middle is. Raises AuditError unless all values are
    numbers with left < right and top < bottom.
    """

    def __init__(self, columns: Sequence[str], images: ImageSet):
        self._images = images
        read = [images.column(name) for name in columns]
        self._boxes: list[tuple[float, ...]] = []
        for row, values in enumerate(zip(*read, strict=True)):
            box = tuple(map(_number, values))
            if not (box[0] < box[2] and box[1] < box[3]):  # so it is with NaN, too
                told = ", ".join(f"{n} {v}" for n, v in zip(columns, values, strict=True))
                raise AuditError(
                    f"Expected a box of numbers for each image, with {columns[0]} < {columns[2]} "
                    f"and {columns[1]} < {columns[3]}, got {told} for {images.files[row]}."
                )
            self._boxes.append(box)

    def inside(self, index: int, fit: Fit) -> Tensor:
        """What is in the box of an image, bool (1, H, W), before it is fitted."""
        file = self._images.files[index]
        shape = to_tensor(Encoded(str(file), file).pixels(None), fit, str(file)).shape[1:]
        left, top, right, bottom = self._boxes[index]
        rows, columns = (torch.arange(side) + _MIDDLE for side in shape)
        high = (rows >= top) & (rows < bottom)
        wide = (columns >= left) & (columns < right)
        found = high[:, None] & wide[None, :]
        if not found.any():
            raise AuditError(
                f"Expected a box in its image of {shape[1]} x {shape[0]} pixels, got left "
                f"{left:g}, top {top:g}, right {right:g}, bottom {bottom:g} for {file}. Boxes are "
                "in pixels of the file."
            )
        return found[None]

    def sha256(self, index: int) -> bytes:
        """sha256 of the box of an image."""
        return hashlib.sha256(repr(self._boxes[index]).encode()).digest()

    def name(self, index: int) -> str:
        return f"the box of {self._images.files[index]}"


def _number(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return float("nan")
