"""Networks that end badly, importable in the process that loads them."""

import os
import time

import torch
from torch import Tensor, nn


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class Hanging(_Linear):
    """Answers small batches, so that it opens, and never a large one."""

    def forward(self, x: Tensor) -> Tensor:
        while len(x) > 16:
            time.sleep(0.1)
        return super().forward(x)


class Crashing(_Linear):
    """Takes the whole process with it at the first large batch."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 16:
            os._exit(3)
        return super().forward(x)


class Constant(nn.Module):
    """Always says 3, whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        three = torch.nn.functional.one_hot(torch.tensor([3]), 10).to(x.dtype)
        return 10 * three + self.scale * x.flatten(1).mean(1, keepdim=True)
