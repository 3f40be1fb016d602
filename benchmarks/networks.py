"""The networks that the benchmarks measure, trained on the data folder or with ImageNet weights."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from flows.demo.network import ResNet

DATA = Path(os.environ.get("FILLBLANKS_DATA") or Path(__file__).parents[2] / "shared" / "data")


@dataclass(frozen=True)
class Subject:
    """A network, how it is normalised, and images to fill in."""

    name: str
    make: Callable[[], nn.Module]
    patch_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int  # of its images, in pixels

    def images(self, count: int) -> tuple[Tensor, Tensor]:
        """Test images in [0, 1] and their labels."""
        return _PICTURES[self.name](count)


def cnn3() -> nn.Module:
    """Two convolutions and a linear layer, for 28x28."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 10)),
    )


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 with the stem that suits 32x32."""
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


def squeezenet() -> nn.Module:
    """SqueezeNet 1.1 with its ImageNet weights."""
    net = torchvision.models.squeezenet1_1()
    with np.load(next((DATA / "squeezenet1_1").glob("*.npz"))) as weights:
        state = {name: torch.from_numpy(weights[name].astype("float32")) for name in weights}
    net.load_state_dict(state)
    return net


def mnist(count: int, train: bool = False) -> tuple[Tensor, Tensor]:
    data = torchvision.datasets.MNIST(str(DATA), train=train)
    return data.data[:count, None].float() / 255, data.targets[:count]


def cifar10(count: int, train: bool = False) -> tuple[Tensor, Tensor]:
    with np.load(DATA / "CIFAR10" / f"cifar10_{'train' if train else 'test'}.npz") as data:
        images, labels = data["x"][:count], data["y"][:count]
    return (
        torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(labels).long(),
    )


def photographs(count: int) -> tuple[Tensor, Tensor]:
    """Squares cut from scikit-image's photographs, with the classes that SqueezeNet predicts."""
    from skimage import data

    squares = []
    for picture in (data.chelsea(), data.coffee(), data.rocket(), data.astronaut())[:count]:
        side = min(picture.shape[:2])
        square = torch.from_numpy(picture[:side, :side].copy()).permute(2, 0, 1)[None].float() / 255
        squares.append(functional.interpolate(square, (224, 224), mode="bilinear", antialias=True))
    images = torch.cat(squares).clamp(0, 1)  # interpolation may exceed 1 by a rounding error
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (SQUEEZENET.mean, SQUEEZENET.std))
    with torch.no_grad():
        labels = squeezenet().eval()((images - mean) / std).argmax(1)
    return images, labels


CNN3 = Subject("3-layer CNN", cnn3, 2, (0.0,), (1.0,), 28)
RESNET5 = Subject("ResNet5", ResNet, 2, (0.0,), (1.0,), 28)
RESNET18 = Subject("CIFAR ResNet-18", resnet18, 2, (0.47,), (0.25,), 32)
SQUEEZENET = Subject(
    # With smaller patches SqueezeNet no longer knows a masked picture, and no draw is accepted.
    "SqueezeNet 224",
    squeezenet,
    56,
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
    224,
)
_PICTURES = {
    CNN3.name: mnist,
    RESNET5.name: mnist,
    RESNET18.name: cifar10,
    SQUEEZENET.name: photographs,
}
# Images, epochs, and the share of patches that is blank, at most: without blanks the network of
# CIFAR-10 hardly knows a masked image, and few draws are accepted.
_TRAINING = {
    CNN3.name: (mnist, 20_000, 3, 0.0),
    RESNET5.name: (mnist, 20_000, 3, 0.0),
    RESNET18.name: (cifar10, 10_000, 8, 0.5),
}


def network(subject: Subject, folder: Path) -> nn.Module:
    """The subject's network, in evaluation mode; trained once and kept in `folder`."""
    net = subject.make()
    if subject.name in _TRAINING:
        file = folder / f"{subject.name}.pt"
        if not file.exists():
            torch.save(_trained(subject).state_dict(), file)
        net.load_state_dict(torch.load(file, weights_only=True))
    return net.eval()


def _trained(subject: Subject) -> nn.Module:
    """Trains with noise of random strength on the inputs, by which networks learn shapes."""
    pictures, count, epochs, most_blank = _TRAINING[subject.name]
    images, labels = pictures(count, train=True)
    images = (images - torch.tensor(subject.mean).view(-1, 1, 1)) / subject.std[0]
    black = -torch.tensor(subject.mean).view(-1, 1, 1) / subject.std[0]
    torch.manual_seed(0)
    net = subject.make().train()
    steps = epochs * (count // 128)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for epoch in range(epochs):
        for batch in torch.randperm(count)[: steps // epochs * 128].split(128):
            x = images[batch]
            kept = torch.rand(len(x), 1, x.shape[2] // 2, x.shape[3] // 2) > (
                torch.rand(len(x), 1, 1, 1) * most_blank
            )
            x = torch.where(kept.repeat_interleave(2, 2).repeat_interleave(2, 3), x, black)
            noise = torch.randn_like(x) * torch.rand(len(x), 1, 1, 1)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(x + noise)
            loss = functional.cross_entropy(logits.float(), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"{subject.name}: epoch {epoch + 1}/{epochs}, loss {loss:.3f}", flush=True)
    return net
