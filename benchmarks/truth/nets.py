"""The architectures of the zoo: small ones, and a head on a frozen ImageNet network."""

import copy
from typing import Literal

from torch import Tensor, nn

Network = Literal["CNN", "ResNet", "VGG", "EfficientNet", "Chain"]
SMALL: tuple[Network, ...] = ("CNN", "ResNet", "VGG")
_CLASSES = 10
_FEATURES = 1280  # of EfficientNet-Lite0


class Block(nn.Module):
    """Two convolutions beside a projection, half the side."""

    def __init__(self, given: int, made: int):
        super().__init__()
        self.first = nn.Conv2d(given, made, 3, 2, 1, bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm2d(made), nn.BatchNorm2d(made)
        self.second = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.beside = nn.Conv2d(given, made, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(self.first_norm(self.first(x)).relu())
        return (self.second_norm(inner) + self.beside(x)).relu()


class Small(nn.Module):
    """A residual network of five convolutions and 70,000 weights."""

    def __init__(self, channels: int):
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(Block(16, 32), Block(32, 64))
        self.head = nn.Linear(64, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        return self.head(self.blocks(x).mean((2, 3)))


def _convolutions(widths: list[list[int]], given: int, *, normalised: bool) -> nn.Sequential:
    """For each list of widths its convolutions, and then the maximum of 2x2 pixels."""
    layers: list[nn.Module] = []
    for group in widths:
        for made in group:
            layers.append(nn.Conv2d(given, made, 3, 1, 1, bias=not normalised))
            if normalised:
                layers.append(nn.BatchNorm2d(made))
            layers.append(nn.ReLU())
            given = made
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class Flat(nn.Module):
    """Three convolutions and a linear layer that knows where in the image things are."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.convolutions = _convolutions([[16], [32], [64]], channels, normalised=False)
        self.head = nn.Linear(64 * (side // 8) ** 2, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.convolutions(x).flatten(1))


class Plain(nn.Module):
    """Six convolutions in pairs, as those of VGG, with batch norm and a mean over places."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolutions = _convolutions([[12, 12], [24, 24], [48, 48]], channels, normalised=True)
        self.head = nn.Linear(48, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.convolutions(x).mean((2, 3)))


class Chain(nn.Sequential):
    """Two convolutions and two linear layers, few enough ReLUs for `blank_proof`."""

    def __init__(self, channels: int, side: int):
        super().__init__(
            *(nn.Conv2d(channels, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 100), nn.ReLU()),
            nn.Linear(100, _CLASSES),
        )


class OnFrozen(nn.Module):
    """A linear layer on the features of EfficientNet-Lite0, whose weights are not trained."""

    def __init__(self) -> None:
        super().__init__()
        from completion.imagenet import lite_0

        body = copy.deepcopy(lite_0())
        # As the weights of all networks, they are those of 16 bits.
        body.load_state_dict(rounded(body))
        body._fc = nn.Identity()
        self.body = body.eval().requires_grad_(False)
        self.head = nn.Linear(_FEATURES, _CLASSES)

    def train(self, mode: bool = True) -> "OnFrozen":
        """The frozen part keeps its evaluation mode."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def made(network: Network, channels: int, side: int) -> nn.Module:
    """A new network, for normalised images of `side` pixels."""
    if network == "CNN":
        return Flat(channels, side)
    if network == "VGG":
        return Plain(channels)
    if network == "Chain":
        return Chain(channels, side)
    return Small(channels) if network == "ResNet" else OnFrozen()


def trained_part(net: nn.Module) -> nn.Module:
    """The part whose weights are trained and kept."""
    return net.head if isinstance(net, OnFrozen) else net


def rounded(net: nn.Module) -> dict[str, Tensor]:
    """The weights, of those floating-point numbers that fit into 16 bits."""
    return {
        name: value.half().float().cpu() if value.is_floating_point() else value.cpu()
        for name, value in net.state_dict().items()
    }
