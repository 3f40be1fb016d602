"""Networks that hang, crash or give one answer; the child process can import them."""

import os
import time
from multiprocessing import parent_process

import torch
from torch import Tensor, nn


class _Linear(nn.Module):
    """Answers the 96 passes that test a model when it is opened, then calls `end`."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        if parent_process() is not None:  # not in the process that logs the model
            self.passes += 1
        if self.passes > 140:
            self.end()
        return self.head(x.flatten(1))

    def end(self) -> None:
        raise NotImplementedError


class Hanging(_Linear):
    """Never answers."""

    def end(self) -> None:
        while True:
            time.sleep(0.1)


class Crashing(_Linear):
    """Ends the whole process."""

    def end(self) -> None:
        os._exit(3)


class Constant(nn.Module):
    """Answers every image with class 3."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        three = torch.nn.functional.one_hot(torch.tensor([3]), 10).to(x.dtype)
        return 10 * three + self.scale * x.flatten(1).mean(1, keepdim=True)
