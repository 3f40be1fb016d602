"""Fixtures for the tests of the engine: images, a trained network, and equality of fills."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fillblanks import Classifier, Fill

SIDE, CLASSES = 12, 4


@pytest.fixture(scope="session")
def blobs() -> tuple[Tensor, Tensor]:
    """Images with a bright blob in one of four corners, and the corner as label."""
    generator = torch.Generator().manual_seed(2)
    images = 0.2 * torch.rand(64, 1, SIDE, SIDE, generator=generator)
    labels = torch.arange(64) % CLASSES
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 6 * (label // 2), 6 * (label % 2)
        image[0, row + 1 : row + 5, column + 1 : column + 5] += 0.7
    return images, labels


@pytest.fixture(scope="session")
def seeded() -> Callable[[Callable[[], nn.Module]], nn.Module]:
    """Makes a network with the same random weights each time."""

    def make(network: Callable[[], nn.Module]) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return network()

    return make


@pytest.fixture(scope="session")
def trained(blobs, seeded) -> nn.Module:
    """A small convolutional network that recognises the blobs."""

    def network() -> nn.Module:
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 4 * 4, CLASSES),
        )
        optimiser = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(30):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(blobs[0]), blobs[1]).backward()
            optimiser.step()
        return net

    return seeded(network)


@pytest.fixture(scope="session")
def classifier(trained, blobs) -> Classifier:
    """The trained network as an exported program, so that no plan exports it again."""
    batch = {0: torch.export.Dim("batch")}
    net = copy.deepcopy(trained).eval()
    program = torch.export.export(net, (blobs[0][:2],), dynamic_shapes=(batch,))
    return Classifier(program.module())


@pytest.fixture(scope="session")
def images(blobs) -> Tensor:
    return blobs[0][:10]


@pytest.fixture(scope="session")
def same() -> Callable[..., None]:
    """Asserts that two fills are equal in all tensors; bit for bit without a tolerance."""

    def equal(one: Fill, other: Fill, tolerance: float = 0.0) -> None:
        for name, values in one.tensors.items():
            theirs = other.tensors[name]
            assert values.dtype == theirs.dtype, name
            if tolerance and values.is_floating_point():
                torch.testing.assert_close(
                    values,
                    theirs,
                    rtol=0,
                    atol=tolerance,
                    equal_nan=True,
                    msg=lambda text, name=name: f"{name}: {text}",
                )
            else:
                assert torch.equal(values.nan_to_num(-9), theirs.nan_to_num(-9)), name
                floats = values.is_floating_point()
                assert not floats or torch.equal(values.isnan(), theirs.isnan()), name

    return equal
