"""Heads of few classes on the frozen bodies of two ImageNet networks, trained on photographs."""

import numpy as np
import torch
from networks import squeezenet
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from completion.imagenet import classifier, lite_0
from completion.kept import Kept, digest
from completion.protocol import SEED
from fillblanks import Classifier

_AT_ONCE = 16


class Lite0Body(nn.Module):
    """The features of EfficientNet-Lite0, (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = lite_0()

    def forward(self, x: Tensor) -> Tensor:
        return self.net.extract_features(x).mean((2, 3))


class SqueezeNetBody(nn.Module):
    """The features of SqueezeNet 1.1, (N, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = squeezenet().features

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).mean((2, 3))


def with_head(
    kept: Kept, name: str, body: nn.Module, images: Tensor, labels: Tensor, count: int
) -> Classifier:
    """A body with a linear head of `count` classes, trained on images (N, 3, 224, 224)."""
    body = body.eval().requires_grad_(False)
    seen = classifier(body)

    def make() -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = torch.cat([seen(some) for some in images.split(_AT_ONCE)]).double().numpy()
        fitted = LogisticRegression(max_iter=2_000).fit(found, labels.numpy())
        assert len(fitted.classes_) == count, "each class has an image"
        return {"weight": fitted.coef_, "bias": fitted.intercept_}

    weights = kept(f"head {name}", digest(body, images, labels), make)
    head = nn.Linear(weights["weight"].shape[1], count)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights["weight"]))
        head.bias.copy_(torch.from_numpy(weights["bias"]))
    return classifier(nn.Sequential(body, head))


def noisy(labels: Tensor, share: float, count: int) -> Tensor:
    """Labels of which a share is drawn anew from all classes."""
    generator = torch.Generator().manual_seed(SEED)
    other = torch.rand(len(labels), generator=generator) < share
    return torch.where(other, torch.randint(count, labels.shape, generator=generator), labels)
