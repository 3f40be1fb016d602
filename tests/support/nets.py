"""Networks that hang, crash or give one answer; the child process can import them."""

import os
import time
import traceback
from multiprocessing import parent_process
from pathlib import Path

import torch
from torch import Tensor, nn


class _Linear(nn.Module):
    """Answers while a model is opened, and calls `end` while a check is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        # Not in the process that logs the model; how many passes an opening has depends on time.
        if parent_process() is not None and _is_measured():
            self.end()
        return self.head(x.flatten(1))

    def end(self) -> None:
        raise NotImplementedError


def _is_measured() -> bool:
    frames = traceback.walk_stack(None)
    codes = [frame.f_code for frame, _ in frames]
    return any(Path(c.co_filename).name == "child.py" and c.co_name == "measure" for c in codes)


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
