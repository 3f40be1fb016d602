"""HumanMaps: where people look in each image, from a folder of maps."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from audits.data.array_header import array_header
from audits.data.encoded import Encoded
from audits.data.files_beside import FilesBeside
from audits.data.fit import fitted
from audits.data.pixels import to_tensor
from audits.errors import AuditError

_COLOURED = 0.1  # difference of channels, beyond what JPEG makes of grey
_MOST_VALUES = 1 << 26  # in an array: a map of 8192 x 8192


class HumanMaps(FilesBeside):
    """Maps in `folder`, named like the images: `cats/7.png` or `7.npy` for `.../cats/7.jpg`.

    A map is a grey image, light where people look, or an array (H, W) of finite numbers (npy). It
    has the size of its image. Raises AuditError unless every image is a file and has one map.
    """

    one: ClassVar[str] = "map"
    all: ClassVar[str] = "maps"

    def tensor(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The maps of images as the model takes them, float32 (n, H, W) in [0, 1].

        Arrays are scaled by their own lowest and highest value. Raises AuditError for colours, for
        NaN and infinity, and for another size.
        """
        return torch.stack([self._map(int(i)) for i in indices])

    def names(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """The files of the maps of images."""
        return [self._files[int(i)].name for i in indices]

    def _map(self, index: int) -> Tensor:
        file, fit = self._files[index], replace(self._images.fit, channels=None)
        is_array = file.path is not None and file.path.suffix.lower() == ".npy"
        if is_array:
            values = _array(file)
        else:
            light = to_tensor(file.pixels(None), fit, file.name)
            if float((light.amax(0) - light.amin(0)).max()) > _COLOURED:
                raise AuditError(
                    f"Expected a grey map, light where people look, got colours: {file.name}. Save "
                    "the values, not a picture with a palette."
                )
            values = light.mean(0)
        found = fitted(values[None], fit)[0]
        shape = self._images.tensor([index]).shape[2:]
        if found.shape != shape:
            raise AuditError(
                f"Expected a map of the size of its image, {tuple(shape)}, got "
                f"{tuple(found.shape)}: {file.name}."
            )
        return found


def _array(file: Encoded) -> Tensor:
    """The array of an npy file, float32 (H, W), scaled to [0, 1]."""
    content = io.BytesIO(file.content())
    try:
        shape, dtype = array_header(content)
    except (ValueError, TypeError, MemoryError, RecursionError) as error:
        raise AuditError(f"Expected an array of numpy that can be read at {file.name}.") from error
    whole = len(shape) == 2 and all(type(side) is int and side > 0 for side in shape)
    if not whole or dtype.kind not in "biuf" or math.prod(shape) > _MOST_VALUES:
        raise AuditError(
            f"Expected numbers of shape (H, W), got {dtype} of shape {shape}: {file.name}."
        )
    content.seek(0)
    try:
        values = np.load(content, allow_pickle=False).astype(np.float64)
    except ValueError as error:
        raise AuditError(f"Expected an array of numpy that can be read at {file.name}.") from error
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise AuditError(
            f"Expected finite numbers, got NaN or infinity in {count} of {values.size} values: "
            f"{file.name}. Give places where nobody looked a 0."
        )
    values /= 2  # or the distance of the largest numbers is infinite
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return torch.from_numpy(scaled.astype(np.float32))
