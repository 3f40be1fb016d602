"""Networks that classify scikit-learn's digits after a short fit."""

from functools import cache

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from audits.data.sources import Digits, load


class Linear(nn.Module):
    """One linear layer."""

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)
        self.head.weight.data, self.head.bias.data = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


@cache
def _fitted() -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts, float64 (10, 784) and (10,)."""
    images = load(Digits(split="train"))
    x = images.tensor(range(len(images))).flatten(1)
    # Normalised as the registered models are: mean .3 and standard deviation .35.
    fitted = LogisticRegression(C=0.01, max_iter=200).fit((x - 0.3) / 0.35, images.labels)
    return fitted.coef_, fitted.intercept_


def logistic(noise: float = 0.0, seed: int = 0) -> Linear:
    """A logistic regression; `noise` on its weights makes it worse."""
    coefficients, intercepts = _fitted()
    weight = torch.tensor(coefficients, dtype=torch.float32)
    torch.manual_seed(seed)
    weight = weight + noise * weight.std() * torch.randn_like(weight)
    return Linear(weight, torch.tensor(intercepts, dtype=torch.float32))
