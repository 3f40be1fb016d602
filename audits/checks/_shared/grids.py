"""Pictures of a grid of mask ratios (rows) and patch sizes (columns), drawn by matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from audits.checks._shared.fonts import families
from audits.evidence.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heat_map(
    lifts: Sequence[Estimate], ratios: Sequence[float], sizes: Sequence[int], title: str
) -> np.ndarray:
    """Lifts, row by row, as colours with their numbers and intervals: uint8 (H, W, 3)."""
    from matplotlib.figure import Figure

    figure = Figure((2.2 + 1.2 * len(sizes), 1.6 + 0.6 * len(ratios)), layout="constrained")
    axes = figure.add_subplot()
    values = np.reshape([lift.value for lift in lifts], (len(ratios), len(sizes)))
    shown = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for place, lift in enumerate(lifts):
        row, column = divmod(place, len(sizes))
        ink = "white" if lift.value < 0.6 else "black"
        told = f"{lift.value:+.2f}\n{lift.low:+.2f} to {lift.high:+.2f}"
        axes.text(column, row, told, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_yticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    _name(axes)
    axes.set_title(title, fontsize=9, parse_math=False)
    figure.colorbar(shown, ax=axes)
    return pixels_of(figure)


def tiles(
    pictures: Sequence[np.ndarray], ratios: Sequence[float], sizes: Sequence[int], title: str
) -> np.ndarray:
    """Pictures, row by row, with their mask ratios and patch sizes: uint8 (H, W, 3)."""
    from matplotlib.figure import Figure

    figure = Figure((0.8 + 1.1 * len(sizes), 0.9 + 1.1 * len(ratios)), layout="constrained")
    grid = figure.subplots(len(ratios), len(sizes), squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        axes.imshow(pictures[row * len(sizes) + column], interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if row == len(ratios) - 1:
            axes.set_xlabel(str(sizes[column]))
        if column == 0:
            axes.set_ylabel(f"{ratios[row]:g}")
    figure.supxlabel("patch size", fontsize=9)
    figure.supylabel("mask ratio", fontsize=9)
    figure.suptitle(title, fontsize=9, fontfamily=families(title)).set_parse_math(False)
    return pixels_of(figure)


def _name(axes: "Axes") -> None:
    axes.set_xlabel("patch size")
    axes.set_ylabel("mask ratio")


def pixels_of(figure: "Figure") -> np.ndarray:
    """The figure as uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
