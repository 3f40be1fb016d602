"""Digits: the data set that comes with scikit-learn."""

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from audits.data.built import DataKind, of_arrays
from audits.data.imageset import ImageSet

_TEST_IMAGES = 450


class Digits(DataKind):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8, in a fixed train / test split."""

    comes_with_a_library: ClassVar[bool] = True
    kind: Literal["digits"] = "digits"
    split: Literal["train", "test"] = "test"
    size: int = Field(default=28, ge=1, le=1024)

    def load(self) -> ImageSet:
        images, labels = _enlarged(self.split, self.size)
        name = f"scikit-learn digits ({self.split})"
        return of_arrays(name, images, labels, [str(n) for n in range(10)])


@lru_cache(maxsize=2)
def _enlarged(split: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, size, size), uint8, and labels (n,) of a split; nobody can write into them."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(
        np.arange(len(digits.target)),
        test_size=_TEST_IMAGES,
        random_state=0,
        stratify=digits.target,
    )
    chosen = parts[1 if split == "test" else 0]
    pixels = (digits.images[chosen] * (255 / 16)).round().astype(np.uint8)
    images = np.stack([_resized(image, size) for image in pixels])
    labels = digits.target[chosen]
    for array in (images, labels):
        array.setflags(write=False)
    return images, labels


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
