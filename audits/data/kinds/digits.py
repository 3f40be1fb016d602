"""Digits: the data set that comes with scikit-learn."""

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
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        split = train_test_split(
            np.arange(len(digits.target)),
            test_size=_TEST_IMAGES,
            random_state=0,
            stratify=digits.target,
        )
        chosen = split[1 if self.split == "test" else 0]
        pixels = (digits.images[chosen] * (255 / 16)).round().astype(np.uint8)
        images = np.stack([self._enlarged(image) for image in pixels])
        name = f"scikit-learn digits ({self.split})"
        return of_arrays(name, images, digits.target[chosen], [str(n) for n in range(10)])

    def _enlarged(self, image: np.ndarray) -> np.ndarray:
        size = (self.size, self.size)
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
