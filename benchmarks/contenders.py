"""The same fill in three ways: by captum as its users write it, by a plain loop, by this project.

Each contender is a class with `run()`, which fills in one image with `draws` masks, the same for
all. speed.py gives each a process of its own.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from networks import Subject, network
from torch.nn import functional

from fillblanks import Classifier, Plan, default_plan, expected_fill, masks, tune
from fillblanks.engine.plan import with_block
from fillblanks.engine.step import Step, UpdateOrder

RATIO = 0.25
IDLE = 8  # `OursIdle` takes this many times the draws of the others


class _Loop:
    """Shared by captum and the plain loop: a net, masked batches of one image, a float64 sum."""

    def __init__(self, subject: Subject, folder: str, chunk: int, draws: int, channels_last: bool):
        self.net = network(subject, Path(folder))
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = self.net.to(memory_format=self.format)
        images, labels = subject.images(1)
        self.image, self.label = images[:1], labels[:1]
        self.mean, self.std = (torch.tensor(v).view(-1, 1, 1) for v in (subject.mean, subject.std))
        self.chunk, self.draws, self.patch = chunk, draws, subject.patch_size
        rows, columns = masks.grid_shape(*self.image.shape[2:], self.patch)
        self.patches = rows * columns
        self.blank_count = masks.blank_count(RATIO, self.patches)

    def run(self) -> None:
        total = torch.zeros(self.image.shape[1:], dtype=torch.float64)
        for at in range(0, self.draws, self.chunk):
            draws = torch.arange(at, min(at + self.chunk, self.draws))
            keys = masks.keys(0, torch.zeros_like(draws), draws, self.patches)
            blank = masks.to_pixels(
                masks.blank_patches(keys, self.blank_count), *self.image.shape[2:], self.patch
            )
            masked = torch.where(blank, 0.0, self.image)
            masked = ((masked - self.mean) / self.std).contiguous(memory_format=self.format)
            total += torch.where(blank, self.gradient(masked), 0).sum(0, dtype=torch.float64)


class Captum(_Loop):
    """captum's Saliency on masked batches. It gives no prediction, so every draw is accepted."""

    def __init__(self, *arguments: Any):
        from captum.attr import Saliency

        super().__init__(*arguments)
        self.saliency = Saliency(self.net)

    def gradient(self, masked: torch.Tensor) -> torch.Tensor:
        target = self.label.expand(len(masked))
        return self.saliency.attribute(masked.requires_grad_(), target=target, abs=False)


class PlainLoop(_Loop):
    """Forward, loss, gradient; draws that are predicted wrong are left out."""

    def gradient(self, masked: torch.Tensor) -> torch.Tensor:
        masked.requires_grad_()
        logits = self.net(masked)
        labels = self.label.expand(len(masked))
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, masked)
        accepted = (logits.argmax(1) == labels).view(-1, 1, 1, 1)
        return torch.where(accepted, -gradient, 0)


class Ours:
    """`expected_fill` with the plan that `tune` finds."""

    def __init__(self, subject: Subject, folder: str, draws: int, fixed: dict[str, Any]):
        # Images and draws as in an audit of the paper's size; fewer for large networks.
        count, size = {28: (32, 1024), 32: (12, 1024), 224: (4, 512)}[subject.side]
        images, labels = subject.images(count)
        net = network(subject, Path(folder))
        self.classifier = Classifier(net, mean=subject.mean, std=subject.std, constant=True)
        self.options = {"mask_ratio": RATIO, "patch_size": subject.patch_size}
        self.image, self.label, self.draws = images[:1], labels[:1], draws
        self.tuning = tune(self.classifier, images, labels, draws=size, fixed=fixed, **self.options)
        self.plan = self.tuning.plan

    def run(self) -> None:
        expected_fill(
            self.classifier,
            self.image,
            self.label,
            samples=self.draws,
            max_draws=self.draws,
            plan=self.plan,
            **self.options,
        )

    def facts(self) -> str:
        return f"{self.plan} (overlap with float64 >= {self.tuning.overlap:.3f})"


class OursIdle(Ours):
    """`Ours` without the network: masks and sums alone."""

    def __init__(self, subject: Subject, folder: str, draws: int, fixed: dict[str, Any]):
        # More draws, so that the work of each call as a whole does not count.
        super().__init__(subject, folder, IDLE * draws, fixed)

    def run(self) -> None:
        from fillblanks.engine.engine import Engine

        def idle(
            engine: Engine, masked: torch.Tensor, labels: torch.Tensor, order: UpdateOrder
        ) -> Step:
            return Step(masked.clone(), labels, labels)

        real = Engine.steps
        Engine.steps = idle  # type: ignore[method-assign,assignment]
        try:
            super().run()
        finally:
            Engine.steps = real  # type: ignore[method-assign]


def plan_of(subject: Subject, **changes: Any) -> Plan:
    """The plan that is used without tuning for the images of `subject`, with changes."""
    shape = subject.images(1)[0].shape[1:]
    return with_block(replace(default_plan(*shape), **changes), shape.numel())
