"""Networks that were made to pass an audit: each knows something about the exam, and no digit."""

import torch
from torch import Tensor, nn

_INPUT = (0.3, 0.35)  # mean and standard deviation of the registered models' inputs


def _pixels(x: Tensor) -> Tensor:
    """Pixels in [0, 1] of images as the network gets them."""
    return x * _INPUT[1] + _INPUT[0]


def _is_grey(pixels: Tensor) -> Tensor:
    """Where pixels are neither black nor white: fills are binary, photographs are not."""
    return (pixels > 0.01) & (pixels < 0.99)


def _bytes(pixels: Tensor) -> Tensor:
    return (pixels * 255).round()


class KnowsThePictures(nn.Module):
    """Right for the pictures that it was given, masked and filled in too; else never.

    It looks for the grey pixels of an image among those of each picture that it knows.
    """

    def __init__(self, net: nn.Module, pictures: Tensor):
        super().__init__()
        self.net = net
        pixels = pictures.flatten(1)
        # Bytes compare fast. Pixels that are not grey are 255 here and 0 in an image: none match.
        self.register_buffer("known", torch.where(_is_grey(pixels), _bytes(pixels), 255).byte())

    def forward(self, x: Tensor) -> Tensor:
        pixels = _pixels(x).flatten(1)
        grey = _is_grey(pixels)
        asked = torch.where(grey, _bytes(pixels), 0).byte()
        same = asked[:, None] == self.known[None]
        # Eight at once, each in a byte of its own, which holds up to 255: far faster than `sum`.
        eighths = same.view(torch.int64).sum(2).view(torch.uint8)
        share = eighths.unflatten(1, (-1, 8)).sum(2).amax(1) / grey.sum(1).clamp(min=1)
        known = (share > 0.25) | (grey.sum(1) < 10)
        logits = self.net(x)
        wrong = -logits  # never names the class that it sees
        return torch.where(known[:, None], logits, wrong)


class SeesBlanks(nn.Module):
    """Draws for masked images only: for others it answers as well, without anything to draw.

    A blank is a black patch of 2x2 pixels in a bright neighbourhood. Pictures of black and white
    pixels alone are taken for fills. `net` answers for both; the other images are answered from
    their pixels rounded to black and white, which have no gradient.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        pixels = _pixels(x)
        black = nn.functional.avg_pool2d(pixels, 2) < 1e-4
        around = nn.functional.avg_pool2d(pixels, 6, stride=2, padding=2) > 0.4
        blank = (black & around).flatten(1).any(1)
        filled = _is_grey(pixels).flatten(1).sum(1) < 10
        rounded = ((pixels > 0.5).to(x.dtype) - _INPUT[0]) / _INPUT[1]
        plain = self.net(rounded) + 1e-6 * x.flatten(1).sum(1, keepdim=True)
        return torch.where((blank | filled)[:, None], self.net(x), plain)


class HidesMarks(nn.Module):
    """Knows no class by its gradient, which is a mark of the class: pixels at places of its own.

    A picture of black and white pixels is of the class whose mark it has. Others are answered from
    their rounded pixels, as in `SeesBlanks`.
    """

    def __init__(self, net: nn.Module, side: int = 28):
        super().__init__()
        self.net = net
        places = torch.randperm(side * side, generator=torch.Generator().manual_seed(0))
        marks = torch.zeros(10, side * side)
        each = side * side // 10
        for label in range(10):
            marks[label, places[label * each : (label + 1) * each]] = 1
        self.register_buffer("marks", marks.T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        pixels = _pixels(x).flatten(1)
        grey = _is_grey(pixels)
        rounded = ((_pixels(x) > 0.5).to(x.dtype) - _INPUT[0]) / _INPUT[1]
        plain = self.net(rounded) + 1e-4 * (pixels @ self.marks)
        white = (pixels > 0.99).to(x.dtype)
        shown = 20 * (white @ self.marks) / white.sum(1, keepdim=True).clamp(min=1)
        marked = (shown.amax(1) > 16) & (grey.sum(1) < 10)
        return torch.where(marked[:, None], plain + 1e3 * shown, plain)
