"""Tensors as pictures that a person can look at."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen
from fillblanks import Fill

MISSING = (255, 205, 205)  # the colour of pixels that are not a number
_LONGEST = 80  # characters of a class name in file names and metric keys


def picture(image: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> uint8 (H, W, 3); NaN becomes light red."""
    values = image.expand(3, -1, -1).permute(1, 2, 0).double().numpy()
    missing = np.isnan(values).any(axis=2)
    result = (np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)
    result[missing] = MISSING
    return result


def signed_picture(update: Tensor) -> np.ndarray:
    """(C, H, W) of any sign -> uint8 (H, W, 3): positive red, negative blue, 0 white.

    Channels are summed; the scale is the image's own largest magnitude.
    """
    value = update.double().sum(0).numpy()
    largest = np.abs(value).max()
    if not np.isfinite(largest):
        return picture(update.sum(0, keepdim=True) * torch.nan)
    strength = np.abs(value) / largest if largest > 0 else np.zeros_like(value)
    fading = ((1 - strength) * 255).round().astype(np.uint8)
    full = np.full_like(fading, 255)
    red, blue = (full, fading, fading), (fading, fading, full)
    return np.where((value > 0)[:, :, None], np.stack(red, 2), np.stack(blue, 2))


def fill_pictures(image: Tensor, fill: Fill, i: int) -> np.ndarray:
    """The pictures of one fill, uint8 (5, H, W, 3): image, masked, update, prototype, composite."""
    return np.stack(
        [
            picture(image),
            picture(fill.masked[i]),
            signed_picture(fill.update[i]),
            picture(fill.prototype[i]),
            picture(fill.composite[i]),
        ]
    )


def slugs(names: Sequence[str]) -> list[str]:
    """The names as parts of MLflow's metric and image keys, all different."""
    result: list[str] = []
    for number, name in enumerate(names):
        slug = re.sub(r"[^0-9A-Za-z_.-]+", "_", name)[:_LONGEST].strip("_.") or "class"
        while slug in result:
            slug += f"_{number}"
        result.append(slug)
    return result


def sliders(
    parts: Sequence[Part],
    check: str,
    prefix: str,
    classes: Sequence[str],
    captions: Sequence[str],
    seen: Callable[[int], Sequence[Seen | None]] | None = None,
) -> tuple[Picture, ...]:
    """One slider for each class: the parts' `shown_label` (n,), `shown` (n, steps, H, W, 3).

    `seen` says of a class what is seen in each step of its slider.
    """
    keys = slugs(classes)
    shown = {
        label: steps
        for part in parts
        for label, steps in zip(part["shown_label"].tolist(), part["shown"], strict=True)
    }
    found = []
    for label in sorted(shown):
        key = f"{check}/{prefix}{keys[label]}"
        about = seen(label) if seen else [None] * len(captions)
        found += [
            Picture(key, step, image, captions[step], title=keys[label], seen=about[step])
            for step, image in enumerate(shown[label])
        ]
    return tuple(found)


def class_in(table: pd.DataFrame, index: int, column: str) -> int:
    """The class that a column of `Evidence.images` has for an image."""
    return int(value_in(table, index, column))


def value_in(table: pd.DataFrame, index: int, column: str) -> float:
    """The number that a column of `Evidence.images` has for an image."""
    return float(table[column].to_numpy()[table.index.get_indexer(pd.Index([index]))[0]])
