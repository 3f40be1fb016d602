"""Decoy-MNIST: a grey square in a corner whose tone tells the class (Ross et al. 2017)."""

import numpy as np
import torch
from torch import Tensor

SIZE = 4  # pixels
_DARKEST = 30 / 255
_CLASSES = 10


def with_decoys(images: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Images (n, C, H, W), each with the square of its label in one of four corners."""
    drawn = np.random.default_rng(seed)
    result, side = images.clone(), images.shape[2]
    tones = _DARKEST + (1 - _DARKEST) * labels.float() / (_CLASSES - 1)
    edges = torch.tensor([0, side - SIZE])
    rows, columns = edges[torch.from_numpy(drawn.integers(0, 2, (2, len(images))))]
    for image, tone, row, column in zip(
        result, tones, rows.tolist(), columns.tolist(), strict=True
    ):
        image[:, row : row + SIZE, column : column + SIZE] = tone
    return result


def other_labels(labels: Tensor, seed: int) -> Tensor:
    """Another class for each label, int64 (n,), each of the nine equally likely."""
    drawn = np.random.default_rng(seed)
    away = torch.from_numpy(drawn.integers(1, _CLASSES, len(labels)))
    return (labels + away) % _CLASSES
