"""Torchvision: data sets in the files and folders in which torchvision keeps them."""

from pathlib import Path
from typing import Literal

import numpy as np

from audits.data.built import DataKind, of_arrays
from audits.data.imageset import ImageSet
from audits.data.places import expect_ordinary
from audits.errors import AuditError
from audits.strict import PlaceName


class Torchvision(DataKind):
    """A data set of torchvision under `root`, downloaded only with `download: true`."""

    kind: Literal["torchvision"] = "torchvision"
    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10"]
    root: PlaceName
    split: Literal["train", "test"] = "test"
    download: bool = False

    def load(self) -> ImageSet:
        from torchvision import datasets

        root = Path(self.root).expanduser()
        expect_ordinary(root)
        try:
            found = getattr(datasets, self.dataset)(
                str(root), train=self.split == "train", download=self.download
            )
        except RuntimeError as error:
            raise AuditError(
                f"Expected {self.dataset} under {root}, found none ({error}). Set download: true "
                "to fetch it, or correct root."
            ) from error
        # torchvision calls MNIST's classes "0 - zero" and so on; models call them "0".
        numbers = [str(n) for n in range(10)]
        classes = numbers if self.dataset == "MNIST" else found.classes
        name = f"{self.dataset} ({self.split})"
        return of_arrays(name, np.asarray(found.data), found.targets, classes)
