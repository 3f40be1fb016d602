"""Which changed copies of images `duplicates` finds, and which different images it calls copies.

python benchmarks/copies.py prints the tables of docs/robustness.md, in about five minutes.
"""

import io
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
import torchvision
from networks import DATA
from PIL import Image
from torch import Tensor

from audits.data import twins
from audits.data.built import of_arrays

_TESTED = 1_000  # the first test images of each set; a copy of each is looked for
_AMONG = 20_000  # the first training images
_AT_ONCE = 4_000
_WHITE = 255
_Images = np.ndarray  # uint8 (N, H, W) or (N, H, W, 3)


def copies() -> list[str]:
    """Markdown lines: the share of copies that are found, and the copies among unchanged images."""
    sets = dict(_sets())
    names = list(sets)
    lines = [f"| change | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for change, changed in _changes().items():
        shares = [_found(test[:_TESTED], train[:_AMONG], changed) for test, train in sets.values()]
        lines.append(f"| {change} | {' | '.join(f'{share:.3f}' for share in shares)} |")
        print(lines[-1], flush=True)
    lines += ["", "| images | against the training set | within the test images |", "|---|---|---|"]
    for name, (test, train) in sets.items():
        small = _thumbnails(test)
        leaked = twins.neighbours(small, _thumbnails(train)).is_twin.any(1).sum()
        within = twins.neighbours(small).is_twin.any(1).sum()
        lines.append(
            f"| {name} | {leaked} of {len(test):,} ({len(train):,} training images) | {within} |"
        )
        print(lines[-1], flush=True)
    return lines


def _sets() -> Iterator[tuple[str, tuple[_Images, _Images]]]:
    """The test and the training images of each set."""
    kinds = {
        "MNIST": torchvision.datasets.MNIST,
        "Fashion-MNIST": torchvision.datasets.FashionMNIST,
    }
    for name, kind in kinds.items():
        test, train = (kind(str(DATA), train=part).data.numpy() for part in (False, True))
        yield name, (test, train)
    with (
        np.load(DATA / "CIFAR10" / "cifar10_test.npz") as test,
        np.load(DATA / "CIFAR10" / "cifar10_train.npz") as train,
    ):
        yield "CIFAR-10", (test["x"], train["x"])


def _changes() -> dict[str, Callable[[_Images], _Images]]:
    """What is done to each image of a set, by name."""
    random = np.random.default_rng(0)
    return {
        "none": lambda image: image,
        "JPEG, quality 75": lambda image: _jpeg(image, 75),
        "JPEG, quality 40": lambda image: _jpeg(image, 40),
        "smaller, to .6 of the side, and enlarged again": _smaller,
        "moved down by a pixel, black edge": lambda image: _moved(image, 1, 0, "constant"),
        "moved down by a pixel, edge repeated": lambda image: _moved(image, 1, 0, "edge"),
        "moved down and right by a pixel, black edges": lambda image: _moved(
            image, 1, 1, "constant"
        ),
        "moved down and right by a pixel, edges repeated": lambda image: _moved(
            image, 1, 1, "edge"
        ),
        "mirrored": lambda image: image[:, ::-1],
        "brighter by .15 of white": lambda image: _rounded(image + 0.15 * _WHITE),
        "times 1.3, cut at white": lambda image: _rounded(image * 1.3),
        "gamma 1.5": lambda image: _rounded(_WHITE * (image / _WHITE) ** 1.5),
        "noise of .03 of white": lambda image: _rounded(
            image + random.normal(0, 0.03 * _WHITE, image.shape)
        ),
    }


def _found(test: _Images, train: _Images, changed: Callable[[_Images], _Images]) -> float:
    """The share of test images whose changed copy is called one, among the training images."""
    others = torch.cat([_thumbnails(train), _thumbnails(np.stack([changed(one) for one in test]))])
    near = twins.neighbours(_thumbnails(test), others)
    own = near.position == (len(train) + np.arange(len(test)))[:, None]
    return float((own & near.is_twin).any(1).mean())


def _thumbnails(images: _Images) -> Tensor:
    images = np.ascontiguousarray(images)
    found = of_arrays("benchmark", images, [0] * len(images), ["any"])
    channels = 1 if images.ndim == 3 else images.shape[-1]
    starts = range(0, len(images), _AT_ONCE)
    return torch.cat(
        [
            twins.thumbnails(found, range(start, min(start + _AT_ONCE, len(images))), channels)
            for start in starts
        ]
    )


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))


def _smaller(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    height, width = image.shape[:2]
    small = picture.resize((round(0.6 * width), round(0.6 * height)), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def _moved(
    image: np.ndarray, down: int, right: int, edge: Literal["constant", "edge"]
) -> np.ndarray:
    """The image so many pixels lower and further right; its edges become black or are repeated."""
    width = ((down, 0), (right, 0), (0, 0))[: image.ndim]
    return np.pad(image, width, mode=edge)[: image.shape[0], : image.shape[1]]


def _rounded(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels).clip(0, _WHITE).astype(np.uint8)


if __name__ == "__main__":
    copies()
