"""Networks around the owner's, which take other inputs or give other outputs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from forms.owner import INK, LUMA, PAPER


class Fed(nn.Module):
    """Takes (scale * pixel + offset - mean) / std in place of pixels in [0, 1]."""

    def __init__(self, net: nn.Module, scale=1.0, offset=0.0, mean=(0.0,), std=(1.0,)):
        super().__init__()
        self.net, self.scale, self.offset = net, scale, offset
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x * self.std + self.mean - self.offset) / self.scale)


class Bytes(nn.Module):
    """Takes pixels as uint8."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.float() / 255)


class ChannelsLast(nn.Module):
    """Takes (N, H, W, C)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.permute(0, 3, 1, 2))


class Casting(nn.Module):
    """Casts its input to the type of its weights, and its output back to float32."""

    def __init__(self, net: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.net, self.dtype = net.to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.to(self.dtype)).float()


class Softmax(nn.Module):
    """Gives probabilities."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).softmax(1)


class LogSoftmax(Softmax):
    """Gives logarithms of probabilities."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).log_softmax(1)


class InDict(Softmax):
    """Gives {"logits": ...}."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.net(x)}


class InTuple(Softmax):
    """Gives (logits, features), as networks with an auxiliary output do."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.net(x)
        return logits, logits * 2


@dataclass
class Output:
    """An output with an attribute `logits`, as transformers has it."""

    logits: Tensor
    hidden: Any = None


class InOutput(Softmax):
    """Gives an object with the attribute `logits`."""

    def forward(self, x: Tensor) -> Output:
        return Output(self.net(x))


class OneOfTwo(Softmax):
    """Of the classes 0 and 1: one logit (N, 1) of class 1."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        return (logits[:, 1] - logits[:, 0])[:, None]


class OneColumn(OneOfTwo):
    """The logit of class 1 as (N,)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


class OneProbability(OneOfTwo):
    """The probability of class 1 as (N, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class TwoLogits(Softmax):
    """The logits of the classes 0 and 1 alone."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, :2]


class ManyLabels(Softmax):
    """A probability for each class, of networks that may name several classes at once."""

    def forward(self, x: Tensor) -> Tensor:
        return (self.net(x) + 4).sigmoid()


class Wide(nn.Module):
    """Gives 1,000 logits; the owner's ten are at `places`."""

    def __init__(self, net: nn.Module, places: list[int]):
        super().__init__()
        self.net = net
        self.places = places

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        wide = logits.min(1, keepdim=True).values.expand(-1, 1000) - 5
        return wide.index_copy(1, torch.tensor(self.places), logits)


class Grey(nn.Module):
    """Takes grey images, whatever the number of channels, and paints them in the two colours."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        self.register_buffer("ink", torch.tensor(INK).view(1, 3, 1, 1))
        self.register_buffer("paper", torch.tensor(PAPER).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        light, dark = (sum(a * b for a, b in zip(LUMA, c, strict=True)) for c in (INK, PAPER))
        share = (x[:, :1] - dark) / (light - dark)
        return self.net(share * self.ink + (1 - share) * self.paper)


class Reordered(nn.Module):
    """Gives the logits in another order: first that of class order[0]."""

    def __init__(self, net: nn.Module, order: list[int]):
        super().__init__()
        self.net, self.order = net, order

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, self.order]


class Trained(nn.Module):
    """The network with dropout before it, to be exported in training mode."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.drop, self.net = nn.Dropout(0.3), net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.drop(x))


class Enlarged(nn.Module):
    """Takes 64x64, halves it, and asks the network."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(nn.functional.avg_pool2d(x, 2))
