"""Training for the demo: the same recipe with and without noise on the inputs."""

import logging
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from flows.demo.network import ResNet

log = logging.getLogger(__name__)


def train(
    images: Tensor,
    labels: Tensor,
    *,
    noise: float,
    seed: int,
    epochs: int,
    mean: float,
    std: float,
    name: str = "training",
) -> nn.Module:
    """A ResNet trained on images (N, C, H, W) in [0, 1], in evaluation mode.

    Each image of each batch gets Gaussian noise of its own strength, uniform in [0, `noise`];
    0 trains plainly. Everything else is the same. Training puts torch's generator back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ResNet(images.shape[1], int(labels.max()) + 1)
        batch, rate = 64, 0.009
        optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
        steps = epochs * -(-len(images) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
        started = time.monotonic()
        for epoch in range(epochs):
            for rows in torch.randperm(len(images)).split(batch):
                inputs = images[rows]
                if noise:
                    strength = torch.rand(len(rows), 1, 1, 1) * noise
                    inputs = inputs + torch.randn_like(inputs) * strength
                loss = functional.cross_entropy(net((inputs - mean) / std), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            left = (time.monotonic() - started) / (epoch + 1) * (epochs - epoch - 1)
            told = name, epoch + 1, epochs, left
            log.info("%s: epoch %d/%d, about %.0f s left", *told, extra={"passing": True})
    return net.eval()
