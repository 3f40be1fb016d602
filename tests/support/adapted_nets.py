"""Networks that answer in other forms than logits, around one that gives logits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audits.models.adapter import BlackBox


@dataclass
class ImageClassifierOutput:
    """Like the answer of a classifier of transformers."""

    loss: Tensor | None
    logits: Tensor


class Around(nn.Module):
    """Base: `net` gives logits."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net


class DataclassOutput(Around):
    def forward(self, x: Tensor) -> ImageClassifierOutput:
        return ImageClassifierOutput(None, self.net(x))


class TupleOutput(Around):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.net(x), x.flatten(1)


class DictOutput(Around):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": x.flatten(1), "logits": self.net(x)}


class OneTensorDict(Around):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": self.net(x)}


class Softmax(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).softmax(-1)


class LogSoftmax(Around):
    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(self.net(x), dim=1)


class Sigmoids(Around):
    """Independent probabilities of several labels."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).sigmoid()


class Squeezed(Around):
    """Takes away the first dimension of a single image too."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze()


class OneAtATime(Around):
    """Has its batch of 1 written into it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.view(1, *x.shape[1:]))


class FourAtATime(Around):
    """Has its batch of 4 written into it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.view(4, *x.shape[1:]))


class ChannelsLast(Around):
    """Takes (N, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[3] in (1, 3)
        return self.net(x.permute(0, 3, 1, 2))


class Difference(Around):
    """The logit of class 1 in one column, of a network with two logits."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        return logits[:, 1:] - logits[:, :1]


class OneProbability(Difference):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class FlatProbability(OneProbability):
    """A probability an image, (N,)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


class OwnCast(Around):
    """Casts its input to the dtype of its weights, bfloat16."""

    def __init__(self, net: nn.Module):
        super().__init__(net.to(torch.bfloat16))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.to(torch.bfloat16))


class Detached(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).detach()


class Borrowing(Around):
    """Has the gradient of another network, with the other sign."""

    def __init__(self, net: nn.Module, other: nn.Module):
        super().__init__(net)
        self.other = other

    def forward(self, x: Tensor) -> Tensor:
        gradient = -self.other(x)
        answer: Tensor = self.net(x).detach() + gradient - gradient.detach()
        return answer


class ByNumpy(Around):
    """Goes through numpy on its way."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.from_numpy(x.numpy().copy()))


class DetachedSoftmax(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).softmax(1).detach()


class Classes(Around):
    """Whole numbers (N,): predicted classes and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).argmax(1)


class Box(BlackBox):
    """A model that gives predicted classes, by numpy."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x).detach().numpy()
        return torch.from_numpy(logits.argmax(1))


class ProbabilityBox(BlackBox):
    """A model that gives probabilities, without a gradient."""

    gives = "probabilities"

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).softmax(1).detach()


class UnsignedBytes(Around):
    """Takes uint8 from 0 to 255."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            raise TypeError(f"Expected uint8, got {x.dtype}.")
        return self.net(x.float() / 255)
