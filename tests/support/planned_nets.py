"""Networks that lack memory, are fast only with wrong answers, or break in a backward pass."""

import os
import time

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """A linear classifier of 28x28 images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class Backward(Linear):
    """Opens without an error, since opening takes no gradient; gradients call `backward`."""

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            x.register_hook(self.backward)
        return super().forward(x)

    def backward(self, gradient: Tensor) -> None:
        raise NotImplementedError


class Narrow(Backward):
    """Has memory for a pass with gradient over `rows` images."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def backward(self, gradient: Tensor) -> None:
        self.allocate(gradient)

    def allocate(self, x: Tensor) -> None:
        if len(x) > self.rows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nin vain.")


class Narrower(Narrow):
    """Has memory for a pass over `rows` images, with a gradient or without."""

    def forward(self, x: Tensor) -> Tensor:
        self.allocate(x)
        return super().forward(x)


class Greedy(Backward):
    """Really allocates `mib` MiB for each image."""

    def __init__(self, mib: int) -> None:
        super().__init__()
        self.mib = mib

    def backward(self, gradient: Tensor) -> None:
        torch.zeros(len(gradient), self.mib, 1 << 20, dtype=torch.uint8)


class Wide(nn.Module):
    """Computes little and needs much memory: about 0.6 MiB an image for each of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 200, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(200, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).flatten(1))


class Broken(Backward):
    """Raises `error`; if `error` is None, never answers."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    def backward(self, gradient: Tensor) -> None:
        while self.error is None:
            time.sleep(0.1)
        raise self.error


class Dying(Linear):
    """Ends its process if its weights are float64, to which only tuning turns them."""

    def forward(self, x: Tensor) -> Tensor:
        if self.head.weight.dtype == torch.float64:
            os._exit(3)
        return super().forward(x)


class Hasty(Linear):
    """Is faster in bfloat16 alone, in which it is wrong about bright images."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise RuntimeError("It only runs as it is written.")
        hasty = torch.is_autocast_enabled("cpu")
        if x.requires_grad and not hasty:
            time.sleep(0.05)
        with torch.autocast("cpu", enabled=False):
            logits = super().forward(x)
        bright = hasty & (x.mean(dim=(1, 2, 3)) > 1)
        return torch.where(bright[:, None], logits.flip(1), logits)
