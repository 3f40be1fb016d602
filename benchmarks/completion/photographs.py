"""Photographs that did not choose the recipe: those of GCompris, in Debian's gcompris-qt-data."""

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from completion.protocol import SIDE
from completion.resources import files

PLACE = Path("/usr/share/gcompris-qt/rcc")
PACKAGE = "gcompris-qt-data"
# Activities whose pictures are photographs, each named by a person.
_ACTIVITIES = (
    "categorization",
    "erase",
    "explore_farm_animals",
    "explore_monuments",
    "explore_world_animals",
)
_NO_PHOTOGRAPHS = ("alphabets", "numbers")
_LEAST = 200  # pixels of the shorter side
_OPAQUE = 250


@dataclass(frozen=True)
class Photograph:
    """The middle square of a photograph."""

    activity: str
    group: str  # the folder of its file
    name: str  # that of its file
    image: Tensor  # (3, 224, 224) in [0, 1]


def photographs(place: Path) -> list[Photograph]:
    """All photographs of the activities, in the order of their names."""
    found = []
    for activity in _ACTIVITIES:
        container = place / f"{activity}.rcc"
        if not container.is_file():
            raise SystemExit(
                f"Expected photographs in {container}, found none. Install Debian's {PACKAGE}, or "
                "unpack it and name the folder of its .rcc files: PHOTOGRAPHS=<folder>."
            )
        for path, content in sorted(files(container)):
            file = PurePosixPath(path)
            if file.suffix != ".webp" or file.parent.name in _NO_PHOTOGRAPHS:
                continue
            picture = Image.open(io.BytesIO(content))
            if min(picture.size) >= _LEAST and _opaque(picture):
                image = _square(np.asarray(picture.convert("RGB")))
                found.append(Photograph(activity, file.parent.name, file.stem, image))
    return found


def _opaque(picture: Image.Image) -> bool:
    """Whether no pixel is transparent: a drawing or a cut-out is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # palettes with transparent colours
        return np.asarray(picture.convert("RGBA"))[..., 3].min() >= _OPAQUE


def _square(pixels: np.ndarray) -> Tensor:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = pixels[top : top + side, left : left + side].copy()
    image = torch.from_numpy(middle).permute(2, 0, 1)[None].float() / 255
    image = functional.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True)
    return image[0].clamp(0, 1)


def names_the_class(photograph: Photograph, names: str) -> bool:
    """Whether the file's name has a word of a class's names, such as "lesser panda, red panda"."""
    return bool(_words(photograph.name) & _words(names))


def _words(text: str) -> set[str]:
    """The words of a text in lower case, without a plural's s."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return {word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]{3,}", apart)}
