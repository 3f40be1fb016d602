"""Occlusion: how much less likely a class is if a window is hidden."""

import torch
from torch import Tensor

from fillblanks.attribution.asking import Probabilities, answers
from fillblanks.attribution.windows import inside, window_places


def occlusion(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    size: int,
    stride: int,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The mean loss of p over the windows that hide a pixel: maps, float64 (n, H, W).

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). Windows are `size` pixels wide
    and `stride` pixels apart; the last of a row ends at the edge. A pixel that no window hides gets
    0. With a stride of `size`, it is the ablation of each patch. `baseline` is that of `answers`.
    Zeiler and Fergus 2014 (arXiv 1311.2901). Raises ValueError as `window_places` does.
    """
    height, width = images.shape[2:]
    windows = inside(height, width, window_places(height, width, size, stride), size)
    windows = windows.to(images.device)
    keep = torch.cat([torch.ones_like(windows[:1]), ~windows])
    given = answers(
        ask,
        images,
        labels,
        views=len(keep),
        keep=lambda rows, numbers: keep[numbers],
        baseline=baseline,
        chunk=chunk,
    )
    lost, covers = given[:, :1] - given[:, 1:], windows.flatten(1).double()
    return (lost @ covers / covers.sum(0).clamp(min=1)).view(-1, height, width)
