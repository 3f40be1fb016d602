"""The picture of `duplicates`: pairs of copies, side by side."""

import math

import numpy as np

from audits.checks._duplicates.figures import Found, Side, sides
from audits.checks._shared.fonts import drawn_name, families
from audits.checks._shared.grids import pixels_of
from audits.checks._shared.images import picture
from audits.data.imageset import ImageSet
from audits.errors import shortened
from audits.evidence.evidence import Picture

_MOST = 12
_COLUMNS = 3
_HEIGHT = 112  # pixels that a small image is enlarged to, about
_GAP_SHARE = 16  # the gap between two images is a sixteenth of their width
_LONGEST = 16  # characters of a class name


def pictures(check: str, found: Found) -> tuple[Picture, ...]:
    """One picture of up to 12 pairs, those with different classes first, then the nearest."""
    pairs = [
        (not bool(side.differ[row]), place, row)
        for place, side in enumerate(sides(found))
        for row in np.argsort(~side.differ, kind="stable")[:_MOST]
    ]
    shown = [(sides(found)[place], int(row)) for _, place, row in sorted(pairs)[:_MOST]]
    if not shown:
        return ()
    return (Picture(f"{check}/pairs", 0, _sheet(found.images, shown), "pairs", small=False),)


def _sheet(images: ImageSet, shown: list[tuple[Side, int]]) -> np.ndarray:
    """The pairs in rows of three, each with indices and classes above it, uint8 (H, W, 3)."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(shown) / _COLUMNS)
    figure = Figure((3.2 * _COLUMNS, 2.1 * rows), layout="constrained")
    for axes, (side, row) in zip(
        figure.subplots(rows, _COLUMNS, squeeze=False).flat, shown, strict=False
    ):
        image, other = int(side.pairs.image[row]), int(side.pairs.other[row])
        beside = _beside(_pixels(images, image), _pixels(side.others, other))
        axes.imshow(beside, interpolation="nearest")
        where = "training " if side.others is not images else ""
        mirrored = ", mirrored" if side.pairs.mirrored[row] else ""
        told = (
            f"{_class(images, image)} | {_class(side.others, other)}\n"
            f"image {image} | {where}image {other}{mirrored}"
        )
        axes.set_title(told, fontsize=8, fontfamily=families(told), parse_math=False)
    for axes in figure.axes:
        axes.set_axis_off()
    return pixels_of(figure)


def _class(images: ImageSet, index: int) -> str:
    return shortened(drawn_name(int(images.labels[index]), images.classes), _LONGEST)


def _pixels(images: ImageSet, index: int) -> np.ndarray:
    """The image as the model takes it, uint8 (H, W, 3), enlarged by a whole number if small."""
    shown = picture(images.tensor([index])[0])
    factor = max(1, math.ceil(_HEIGHT / max(shown.shape[:2])))
    return shown.repeat(factor, axis=0).repeat(factor, axis=1)


def _beside(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Both images on white, with a gap between them."""
    height, gap = max(one.shape[0], other.shape[0]), one.shape[1] // _GAP_SHARE
    padded = [
        np.pad(image, ((0, height - len(image)), (0, space), (0, 0)), constant_values=255)
        for image, space in ((one, gap), (other, 0))
    ]
    return np.concatenate(padded, axis=1)
