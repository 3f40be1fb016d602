"""T: keep the blanks, normalise, binarise (Eq. 4)."""

from typing import Literal

import torch
from torch import Tensor

Normalise = Literal["positive", "minmax", "none"]
Binarise = float | Literal["otsu"] | None

_BINS = 256


def threshold(
    update: Tensor,
    blank: Tensor,
    *,
    normalise: Normalise = "positive",
    binarise: Binarise = 0.1,
) -> Tensor:
    """T(update): the values that go into the blanks of each image (Eq. 4).

    `update` is float (N, C, H, W), of any range; `blank` is bool (N, 1, H, W), True for blank
    pixels. Returns (N, C, H, W) in [0, 1], 0 on kept pixels; a NaN of the update stays NaN.

    `normalise`: "positive", the positive part over its maximum in the image; "minmax", the masked
    update scaled from its minimum in the image (0) to its maximum (1); "none", the update itself,
    cut to [0, 1]. An image whose range is 0 gets 0 everywhere. `binarise`: a number in [0, 1]
    (1 above it, 0 otherwise), "otsu" (Otsu's threshold over the blanks of each image, 256 bins), or
    None (values are kept). The defaults are for one channel and for colour; docs/paper.md has the
    figures.

    Raises ValueError if `normalise` or `binarise` is none of these.
    """
    if not (binarise is None or binarise == "otsu" or 0 <= binarise <= 1):
        raise ValueError(f'Expected binarise in [0, 1], "otsu" or None, got {binarise!r}.')
    value = _normalise(torch.where(blank, update, 0), normalise)
    if binarise is not None:
        white = value > (otsu(value, blank) if binarise == "otsu" else binarise)
        # A NaN stays a NaN: an update that failed must not look like an empty fill.
        value = torch.where(value.isnan(), value, white.to(update.dtype))
    return torch.where(blank, value, 0)


def comparable(update: Tensor, *, normalise: Normalise, binarise: Binarise) -> Tensor:
    """T over all pixels, in a form for `overlap`: (N, C, H, W) or (N, 2C, H, W), in [0, 1].

    `update` is (N, C, H, W); the options are those of `threshold`. "minmax" with its values kept
    lies around a grey that any two updates share. In its place stand the positive and the negative
    part of the update over its largest magnitude, side by side.
    """
    if (normalise, binarise) != ("minmax", None):
        everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
        return threshold(update, everywhere, normalise=normalise, binarise=binarise)
    largest = update.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = torch.where(largest == 0, 0, update / largest)
    return torch.cat([scaled.clamp(min=0), (-scaled).clamp(min=0)], dim=1)


def _normalise(update: Tensor, normalise: Normalise) -> Tensor:
    if normalise == "none":
        return update.clamp(0, 1)
    if normalise == "positive":
        low = torch.zeros_like(update[:, :1, :1, :1])
    elif normalise == "minmax":
        low = update.amin(dim=(1, 2, 3), keepdim=True)
    else:
        raise ValueError(
            f'Expected normalise to be "positive", "minmax" or "none", got {normalise!r}.'
        )
    span = update.amax(dim=(1, 2, 3), keepdim=True) - low
    return torch.where(span == 0, 0, (update - low).clamp(min=0) / span)


def otsu(values: Tensor, blank: Tensor) -> Tensor:
    """Otsu's threshold of each image's blank pixels (Otsu 1979): (N, C, H, W) -> (N, 1, 1, 1).

    `values` are (N, C, H, W) in [0, 1], `blank` is bool (N, 1, H, W). The result is the centre of
    the last histogram bin of the lower class, as in scikit-image; pixels above it belong to the
    upper class.
    """
    pixels = values.flatten(1).double()
    weight = blank.expand_as(values).flatten(1).double()
    inside = torch.where(weight > 0, pixels, torch.nan)
    low = inside.nan_to_num(nan=torch.inf).amin(1, keepdim=True)
    high = inside.nan_to_num(nan=-torch.inf).amax(1, keepdim=True)
    width = (high - low) / _BINS
    bins = ((pixels - low) / width).nan_to_num(0).floor().clamp(0, _BINS - 1).long()
    # Rounding puts some values on a bin's edge into the bin before or after.
    edges = low + width * torch.arange(_BINS + 1, device=values.device)
    bins = bins - ((pixels < edges.gather(1, bins)) & (bins > 0)).long()
    bins = bins + ((pixels >= edges.gather(1, bins + 1)) & (bins < _BINS - 1)).long()
    counts = torch.zeros(len(pixels), _BINS, dtype=torch.float64, device=values.device)
    counts.scatter_add_(1, bins, weight)
    centres = low + width * (torch.arange(_BINS, device=values.device) + 0.5)

    lower, total = counts.cumsum(1), (counts * centres).cumsum(1)
    upper, rest = lower[:, -1:] - lower, total[:, -1:] - total
    between = lower * upper * (total / lower - rest / upper) ** 2
    best = between[:, :-1].nan_to_num(nan=-1).argmax(1, keepdim=True)
    return centres.gather(1, best).view(-1, 1, 1, 1).to(values.dtype)
