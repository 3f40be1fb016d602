"""The methods on mosaics: does the evidence for a photograph's class lie in its quarter?"""

from typing import NamedTuple

import torch
from completion.imagenet import classifier, lite_0
from torch import Tensor
from torch.nn import functional

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import bounded_mean
from evidence.contenders import SEED, Contender, chunk_of, integrated_gradients, ours
from fillblanks import Classifier
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.blank_difference import blank_differences
from fillblanks.attribution.region_figures import inside_share, pointing
from flows.demo.imagenet import photographs

SIDE, PATCH = 224, 56


class Row(NamedTuple):
    """One method on all photographs."""

    name: str
    passes: int
    gradient: bool
    inside: Estimate
    pointing: Estimate


def contenders() -> list[Contender]:
    return [
        of_all_classes(64),
        of_all_classes(96),
        ours("occlusion", SIDE, 28, told="occlusion, windows of 56 px"),
        ours("pami", SIDE, PATCH, stride=0.125),
        ours("sobol", SIDE, PATCH, draws=4),
        integrated_gradients(25),
    ]


def of_all_classes(draws: int) -> Contender:
    """Blank difference, whose passes are shared by the classes of all four photographs."""

    def maps(network: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        with network.steady():
            found = blank_differences(
                probabilities_of(network),
                images[:1],
                patch_size=PATCH,
                draws=draws,
                seed=SEED,
                chunk=chunk_of(images),
            )
        return found[0, labels]

    return Contender("blank_difference", draws, maps)


def rows(count: int) -> list[Row]:
    """All methods on `count` of foolbox's photographs, a multiple of 4, four in a mosaic."""
    given, labels, network = *_photographs(), classifier(lite_0())
    found = []
    for one in contenders():
        print(one.name, one.passes, flush=True)
        inside, highest = _figures(one, network, given[:count], labels[:count]).T.numpy()
        found.append(
            Row(one.name, one.passes, one.gradient, bounded_mean(inside), bounded_mean(highest))
        )
    return found


def _photographs() -> tuple[Tensor, Tensor]:
    """Foolbox's photographs in [0, 1], half as wide and high as a mosaic, and their classes."""
    images, labels = [], []
    for name, _, picture in photographs():
        if name.startswith("imagenet_"):
            array = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
            images.append(array.view(SIDE, SIDE, 3).permute(2, 0, 1).float() / 255)
            labels.append(int(name.removesuffix(".png").rsplit("_", 1)[1]))
    half = functional.interpolate(
        torch.stack(images), (SIDE // 2, SIDE // 2), mode="bilinear", antialias=True
    )
    return half.clamp(0, 1), torch.tensor(labels)


def _figures(one: Contender, network: Classifier, photos: Tensor, labels: Tensor) -> Tensor:
    """Inside share and pointing of each photograph in its own quarter, (n, 2)."""
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(SEED))
    result = torch.zeros(len(photos), 2, dtype=torch.float64)
    for four in order.split(4):
        top, bottom = (torch.cat([photos[i] for i in pair], 2) for pair in four.split(2))
        mosaic = torch.cat([top, bottom], 1).expand(4, 3, SIDE, SIDE)
        maps = one.maps(network, mosaic.contiguous(), labels[four])
        quarter = torch.zeros(4, SIDE, SIDE, dtype=torch.bool)
        for i in range(4):
            row, column = i // 2 * SIDE // 2, i % 2 * SIDE // 2
            quarter[i, row : row + SIDE // 2, column : column + SIDE // 2] = True
        result[four] = torch.stack([inside_share(maps, quarter), pointing(maps, quarter)], 1)
    return result
