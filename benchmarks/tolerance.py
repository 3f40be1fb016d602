"""Draws saved by `tolerance`, compared with the same number of draws for every image."""

from pathlib import Path

import numpy as np
import torch
from contenders import plan_of
from networks import CNN3, RESNET5, Subject, network

from fillblanks import Classifier, Fill, expected_fill
from fillblanks.engine.comparison import overlap

_IMAGES = 64
_CEILING = 8_192
_FIXED = (128, 256, 512, 1024, 2048, 4096)
_TOLERANCES = (0.3, 0.2, 0.1)


def tolerance(folder: str) -> list[str]:
    """Markdown lines. Quality is an overlap that nine images of ten reach: the overlap with the
    prototype of four times as many other draws as the ceiling."""
    lines = [
        "| network | tolerance | quality | draws used | draws of all at equal quality | saved |",
        "|---|---|---|---|---|---|",
    ]
    for subject in (CNN3, RESNET5):
        classifier = Classifier(network(subject, Path(folder)), constant=True)
        images, labels = subject.images(_IMAGES)
        limit = _fill(classifier, subject, images, labels, seed=1, samples=4 * _CEILING).prototype

        def quality(fill: Fill, limit: torch.Tensor = limit) -> float:
            return float(np.quantile(overlap(fill.prototype, limit).numpy(), 0.1))

        fixed = [_fill(classifier, subject, images, labels, samples=n) for n in _FIXED]
        qualities = [quality(fill) for fill in fixed]
        means = [float(fill.drawn.double().mean()) for fill in fixed]
        for wanted in _TOLERANCES:
            fill = _fill(classifier, subject, images, labels, samples=_CEILING, tolerance=wanted)
            reached, used = quality(fill), float(fill.drawn.double().mean())
            equal = float(np.exp(np.interp(reached, qualities, np.log(means))))
            beyond = ">= " if reached > qualities[-1] else ""
            lines.append(
                f"| {subject.name} | {wanted} | {reached:.3f} | {used:,.0f} | {beyond}{equal:,.0f} "
                f"| {1 - used / equal:.0%} |"
            )
            print(lines[-1], flush=True)
    return lines


def _fill(
    classifier: Classifier,
    subject: Subject,
    images: torch.Tensor,
    labels: torch.Tensor,
    **options: float,
) -> Fill:
    plan = plan_of(subject, precision="bfloat16", memory_format="channels_last", fused=True)
    with torch.no_grad():
        right = classifier.net(images).argmax(1) == labels
    kept = right.nonzero()[:, 0]
    return expected_fill(classifier, images[kept], labels[kept], plan=plan, **options)
