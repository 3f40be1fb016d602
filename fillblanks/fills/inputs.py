"""The input of a fill, checked once: images, masks, labels, and the classes to fill for."""

from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine, engine_of
from fillblanks.engine.memory import memory_told
from fillblanks.engine.plan import Plan, default_plan
from fillblanks.fills.update import ORDERS, Update
from fillblanks.memory import OutOfMemory

Windowed = TypeVar("Windowed")
BlankValue = float | Literal["mean"] | Tensor


class FillInput:
    """The checked input of a fill; the arguments are those of `expected_fill`.

    Raises ValueError if the input is not as described there.
    """

    blank_count: int

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor | None,
        patch_size: int | None,
        seed: int,
        blank_value: BlankValue,
        target: int | None,
        indices: Tensor | None,
        plan: Plan | None,
        update: Update,
    ):
        if not isinstance(classifier, Classifier):
            raise ValueError(
                f"Expected a fillblanks.Classifier, got {type(classifier).__name__}. Wrap the "
                "network: fillblanks.Classifier(net, mean=..., std=...)."
            )
        self.classifier = classifier
        self.images = classifier.to_input(images)
        count, channels, self.height, self.width = images.shape
        if patch_size is None:
            patch_size = masks.default_patch_size(self.height, self.width)
        rows, columns = masks.grid_shape(self.height, self.width, patch_size)
        self.patches, self.patch_size, self.seed = rows * columns, patch_size, seed
        self.plan = plan or default_plan(channels, self.height, self.width)
        self.labels = None if labels is None else _whole(labels, count, "labels")
        self.indices = torch.arange(count) if indices is None else _whole(indices, count, "indices")
        self.indices = self.indices.to(classifier.device)
        self.target = target
        if update not in ORDERS:
            raise ValueError(f"Expected one of {', '.join(ORDERS)}, got {update!r}.")
        self.order = ORDERS[update]
        if isinstance(blank_value, Tensor):
            self.blank_value = classifier.to_input(blank_value)
            if blank_value.shape != images.shape:
                raise ValueError(
                    f"Expected a blank_value of the images' shape {tuple(images.shape)}, got "
                    f"{tuple(blank_value.shape)}."
                )
        elif blank_value == "mean":
            self.blank_value = classifier.mean.view(1, -1, 1, 1)
        else:
            value = torch.full_like(classifier.mean, float(blank_value))
            self.blank_value = value.view(1, -1, 1, 1)
        if not ((self.blank_value >= 0) & (self.blank_value <= 1)).all():
            raise ValueError(
                f"Expected a blank_value in [0, 1], got {self.blank_value.flatten().tolist()}."
            )

    def in_windows(self, plan: Plan, fill: Callable[[Engine, slice], Windowed]) -> list[Windowed]:
        """The results of `fill` for the images, a block of them at a time.

        `fill` is given an engine for `plan` and the window: which of the N images it is for.
        """
        with memory_told(plan, self.images.shape), self.classifier.steady():
            engine = engine_of(self.classifier, plan, self.images)
            with engine.steady():
                self._probe(engine)
                windows = range(0, len(self.images), plan.block)
                return [fill(engine, slice(at, at + plan.block)) for at in windows]

    def in_fitting_windows(
        self, plan: Plan, fill: Callable[[Engine, slice], Windowed], *, halve: bool
    ) -> tuple[list[Windowed], Plan]:
        """As `in_windows`, and the plan that was used in the end.

        If `halve`, the plan is halved as long as memory is too short for it; else OutOfMemory is
        raised.
        """
        while True:
            try:
                return self.in_windows(plan, fill), plan
            except OutOfMemory:
                if not halve or plan.halved() == plan:
                    raise
                plan = plan.halved()

    def _probe(self, engine: Engine) -> None:
        """Runs the network once an engine; checks labels and target against its classes."""
        if engine.classes is None:
            engine.classes = engine.classifier.probe(self.images, engine.plan.chunk)
        count = engine.classes
        if self.target is not None and not 0 <= self.target < count:
            raise ValueError(f"Expected a target from 0 to {count - 1}, got {self.target}.")
        if self.labels is not None:
            worst = self.labels[(self.labels < 0) | (self.labels >= count)]
            if len(worst):
                raise ValueError(f"Expected labels from 0 to {count - 1}, got {worst[0].item()}.")

    def reference(self, window: slice, chunk: int) -> Tensor:
        """The class that a masked image must be predicted as to be accepted, int64 (n,)."""
        if self.labels is not None:
            return self.labels[window].to(self.classifier.device)
        chunks = self.images[window].split(chunk)
        return torch.cat([self.classifier.predict(images) for images in chunks])

    def keys(self, indices: Tensor, draws: Tensor) -> Tensor:
        """The keys of all patches, int64 (n, P), for int64 (n,) of both."""
        return masks.keys(self.seed, indices, draws, self.patches)

    def pixels(self, patch_values: Tensor) -> Tensor:
        """The value of each pixel's patch: (n, P) -> (n, 1, H, W)."""
        return masks.to_pixels(patch_values, self.height, self.width, self.patch_size)

    def targets(self, labels: Tensor) -> Tensor:
        """The class that each image is filled for, int64 (n,): `target`, or its own label."""
        # A reference of -1 (logits that are not finite) is never hit; 0 stands in for its loss.
        return labels.clamp(min=0) if self.target is None else torch.full_like(labels, self.target)

    def blanks(self, window: slice) -> Tensor:
        """The values of blank pixels: (1, C, 1, 1) for all images, or (n, C, H, W)."""
        return self.blank_value if len(self.blank_value) == 1 else self.blank_value[window]


def mask(images: Tensor, blank: Tensor, blanks: Tensor) -> Tensor:
    """M(x): the images with their blanks blanked; `blank` is (N, 1, H, W), 1 or True there.

    `blanks` are the values of blank pixels. A single image is taken for all the blanks.
    """
    # lerp is exact at 0 and at 1, and faster than where.
    return torch.lerp(images, blanks, blank.to(images.dtype))


def _whole(values: Tensor, count: int, name: str) -> Tensor:
    values = torch.as_tensor(values)
    if values.shape != (count,) or values.is_floating_point():
        raise ValueError(
            f"Expected {name} as {count} whole numbers, one an image, got shape "
            f"{tuple(values.shape)} of {values.dtype}."
        )
    return values.long()
