"""The reliability picture: accuracy beside confidence, and the number of images of each bin."""

import numpy as np
import pandas as pd

_BAR, _MARK, _QUIET = "#6e9bd1", "#1b1f24", "#57606a"


def reliability_picture(table: pd.DataFrame) -> np.ndarray:
    """uint8 (H, W, 3): each bin of `table` as a point with its interval, below it its images.

    `table` is that of `audits.evidence.calibration.reliability`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 5.2), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    confidence, accuracy = table["confidence"], table["accuracy"]
    reach = [accuracy - table["low"], table["high"] - accuracy]
    upper.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", label="calibrated")
    upper.errorbar(
        confidence, accuracy, yerr=reach, fmt="o", color=_MARK, label="images of a bin, 95 %"
    )
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    upper.set_title("Below the line: surer than right", fontsize=10)
    lower.bar(
        table["above"],
        table["images"],
        width=table["up_to"] - table["above"],
        align="edge",
        color=_BAR,
        edgecolor="white",
    )
    lower.set(xlabel="confidence", ylabel="images")
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
