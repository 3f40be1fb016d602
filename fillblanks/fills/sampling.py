"""Sampler: random masks for some images until each has its accepted draws (section 4.1)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.engine.engine import Engine
from fillblanks.fills.averages import Average, Averages
from fillblanks.fills.inputs import FillInput, mask

FIRST_LOOK = 64  # accepted draws after which the halves are compared for the first time


class Sampler:
    """Draws masks for the n images of one window and sums the updates of the accepted draws."""

    def __init__(self, given: FillInput, engine: Engine, window: slice, average: Average):
        self._given, self._engine = given, engine
        self.images, self.indices = given.images[window], given.indices[window]
        self.blanks = given.blanks(window)
        self.reference = given.reference(window, engine.plan.chunk)
        self.sums = Averages(self.images, given.patches, given.patch_size, average)
        self.accepted = np.zeros(len(self.images), dtype=np.int64)
        self.drawn = np.zeros_like(self.accepted)
        self._first = np.full_like(self.accepted, np.iinfo(np.int64).max)

    @property
    def first(self) -> Tensor:
        """The number of each image's first accepted draw, int64 (n,); 0 if there is none."""
        first = np.where(self.accepted > 0, self._first, 0)
        return torch.from_numpy(first).to(self.images.device)

    def draw(self, samples: int, limit: int, wanted: np.ndarray) -> None:
        """Draws until the images `wanted`, bool (n,), have `samples` accepted or `limit` drawn.

        No image is given more draws than it still needs. So the last draw of an image that has its
        samples is an accepted draw, whatever the plan.
        """
        while True:
            need = np.minimum(samples - self.accepted, limit - self.drawn) * wanted
            take = np.diff(np.minimum(np.cumsum(need), self._engine.plan.block), prepend=0)
            if not take.any():
                return
            self._block(take)

    def _block(self, take: np.ndarray) -> None:
        given, device = self._given, self.images.device
        image = np.repeat(np.arange(len(take)), take)
        number = np.arange(len(image)) - np.repeat(np.cumsum(take) - take, take)
        number += self.drawn[image]
        # The halves of an image stand together, as their sums want them.
        number = number[np.lexsort((number, number % 2, image))]
        rows = torch.from_numpy(image).to(device)
        patches = masks.blank_patches(
            given.keys(self.indices[rows], torch.from_numpy(number).to(device)), given.blank_count
        )
        blank = given.pixels(patches.to(self.images.dtype))
        reference = self.reference[rows]
        # A single image need not be copied for each draw.
        which = rows[:1] if image[0] == image[-1] else rows
        blanks = self.blanks if len(self.blanks) == 1 else self.blanks[which]
        masked = mask(self.images[which], blank, blanks)
        step = self._engine.steps(masked, given.targets(reference), given.order)
        hit = hits(step.predicted, reference)
        hit_here = hit.cpu().numpy()
        self.drawn += take
        self.accepted += np.bincount(image[hit_here], minlength=len(take))
        np.minimum.at(self._first, image[hit_here], number[hit_here])
        values = (step.update, patches, blank)
        if not hit_here.all():
            image, number = image[hit_here], number[hit_here]
            values = (step.update[hit], patches[hit], blank[hit])
        if len(image):
            self.sums.add(image, number % 2, *values)


def looks(samples: int) -> Iterator[int]:
    """Numbers of accepted draws after which the halves are compared; up to `samples`.

    They depend on `samples` only, so that no plan changes when an image is done.
    """
    look = FIRST_LOOK
    while look < samples:
        yield look
        if look * 3 // 2 < samples:
            yield look * 3 // 2
        look *= 2
    yield samples


def hits(predicted: Tensor, reference: Tensor) -> Tensor:
    """Whether each prediction is the reference, bool (n,); -1 (logits not finite) hits nothing."""
    return (predicted == reference) & (predicted >= 0)
