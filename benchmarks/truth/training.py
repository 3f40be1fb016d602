"""How networks of the zoo are trained."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from truth.data import Dataset


class Recipe(NamedTuple):
    """One training with AdamW and one cycle of the learning rate."""

    epochs: int
    rate: float  # the highest
    batch: int = 128
    decay: float = 0.001
    stop: float = 1.0  # share of the steps after which it ends


RECIPES: dict[Dataset, Recipe] = {
    "MNIST": Recipe(4, 0.003),
    "FashionMNIST": Recipe(6, 0.003),
    "CIFAR10": Recipe(12, 0.003),
}
HEAD = Recipe(60, 0.01, batch=250, decay=0.0)
UNDER_TRAINED = 0.1  # `stop` of networks that are stopped too early


def fit(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalised: Callable[[Tensor], Tensor],
    recipe: Recipe,
    device: str,
    noise: float = 0.0,
) -> None:
    """Trains on images (n, C, H, W) in [0, 1], or features (n, F), and their labels.

    Each image gets noise whose standard deviation is drawn from 0 to `noise`, and is then
    `normalised`. Random numbers are those of the CPU, so that a seed means the same everywhere.
    """
    net.train()
    images, labels = images.to(device), labels.to(device)
    weights = [one for one in net.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=recipe.decay)
    batches = len(images) // recipe.batch
    steps = recipe.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    last = round(steps * recipe.stop)
    generator = torch.Generator().manual_seed(torch.initial_seed())
    noises = torch.Generator(device).manual_seed(torch.initial_seed())
    for step in range(last):
        if step % batches == 0:
            order = torch.randperm(len(images), generator=generator).to(device)
        at = step % batches * recipe.batch
        rows = order[at : at + recipe.batch]
        some = images[rows]
        if noise:
            strength = noise * torch.rand(len(some), 1, 1, 1, device=device, generator=noises)
            some = some + strength * torch.randn(some.shape, device=device, generator=noises)
        loss = functional.cross_entropy(net(normalised(some)), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
