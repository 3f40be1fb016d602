"""Pictures of a grid of mask ratios (rows) and patch sizes (columns), drawn by matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heat_map(
    values: np.ndarray, ratios: Sequence[float], sizes: Sequence[int], title: str
) -> np.ndarray:
    """Shares (len(ratios), len(sizes)) as colours with their numbers: uint8 (H, W, 3)."""
    from matplotlib.figure import Figure

    figure = Figure((1.6 + 0.9 * len(sizes), 1.4 + 0.6 * len(ratios)), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if value < 0.6 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_yticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    _name(axes)
    axes.set_title(title, fontsize=9, parse_math=False)
    figure.colorbar(shown, ax=axes)
    return _pixels(figure)


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
    figure.suptitle(title, fontsize=9).set_parse_math(False)
    return _pixels(figure)


def _name(axes: "Axes") -> None:
    axes.set_xlabel("patch size")
    axes.set_ylabel("mask ratio")


def _pixels(figure: "Figure") -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
