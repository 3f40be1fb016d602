"""progressive_fill (section 4.2): an image is filled group by group, until no pixel is its own."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine
from fillblanks.engine.plan import Plan
from fillblanks.engine.step import Step
from fillblanks.fills.fill import Fill, ToFill, filled
from fillblanks.fills.inputs import BlankValue, FillInput, mask
from fillblanks.fills.sampling import hits
from fillblanks.fills.threshold import Binarise, Normalise, threshold
from fillblanks.fills.update import Update
from fillblanks.masks import fill_regions

StepLabel = Literal["step", "first", "true"]


def progressive_fill(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    groups: int = 4,
    patch_size: int | None = None,
    seed: int = 0,
    label: StepLabel = "step",
    normalise: Normalise = "positive",
    binarise: Binarise = 0.1,
    blank_value: BlankValue = 0.0,
    target: int | None = None,
    update: Update = "first_order",
    indices: Tensor | None = None,
    plan: Plan | None = None,
) -> Fill:
    """Fills each image group by group until every pixel is the network's own (section 4.2).

    The P patches of `patch_size` pixels are parted at random into `groups`, 2 to P; step i blanks
    group i of the current image, predicts, and fills. `label` is the class that a step is filled
    for: "step", its own prediction (Eq. 1-2); "first", the first masked image's prediction; "true",
    `labels`. A `target` class takes precedence. An image counts as accepted if its first masked
    image is predicted as the reference label: `labels` if given, else the prediction for the whole
    image. The other arguments and the errors are those of `expected_fill`; a plan of reduced
    precision is run in full. ValueError is raised for label="true" without labels, too.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, blank_value, target, indices, plan, update
    )
    if label not in ("step", "first", "true"):
        raise ValueError(f'Expected label to be "step", "first" or "true", got {label!r}.')
    if label == "true" and labels is None:
        raise ValueError('Expected labels with label="true", got none. Give them, or take "step".')
    to_fill = partial(threshold, normalise=normalise, binarise=binarise)
    window = partial(_window, given, groups, label, to_fill)
    return filled(given, window, given.plan.exact, halve=plan is None)


def _window(
    given: FillInput,
    groups: int,
    label: StepLabel,
    to_fill: ToFill,
    engine: Engine,
    window: slice,
) -> Fill:
    images, indices = given.images[window], given.indices[window]
    reference = given.reference(window, engine.plan.chunk)
    group = fill_regions(
        images, groups=groups, patch_size=given.patch_size, seed=given.seed, indices=indices
    )
    current, update = images, torch.zeros_like(images)
    passes: list[Step] = []
    masked_images, filled_images = [], []
    for i in range(groups):
        blank = group == i
        masked = mask(current, blank, given.blanks(window))
        if given.target is not None:
            wanted = torch.full_like(reference, given.target)
        elif label == "true":
            wanted = reference
        elif label == "first" and passes:
            wanted = passes[0].label
        else:
            wanted = None
        step = engine.steps(masked, wanted, given.order)
        step = step._replace(update=step.update.to(images.dtype))
        current = torch.where(blank, to_fill(step.update, blank), masked)
        update = torch.where(blank, step.update, update)
        passes.append(step)
        masked_images.append(masked)
        filled_images.append(current)

    first = passes[0].predicted
    return Fill(
        update=update.cpu(),
        standard_error=torch.full_like(update, torch.nan).cpu(),
        stability=torch.full((len(images),), torch.nan, dtype=torch.float64),
        prototype=current.cpu(),
        composite=filled_images[0].cpu(),
        masked=masked_images[0].cpu(),
        blank=(group == 0).cpu(),
        label=first.cpu(),
        accepted=hits(first, reference).long().cpu(),
        drawn=torch.ones(len(images), dtype=torch.int64),
        steps=torch.stack(filled_images, dim=1).cpu(),
        step_labels=torch.stack([step.label for step in passes], dim=1).cpu(),
        plan=engine.plan,
    )
