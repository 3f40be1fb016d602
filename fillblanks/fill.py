"""expected_fill (section 4.1) and progressive_fill (section 4.2): what a network puts in blanks."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.averages import Average, Averages
from fillblanks.classifier import Classifier
from fillblanks.engine import Plan
from fillblanks.inputs import BlankValue, FillInput, fill_regions
from fillblanks.threshold import Binarise, Normalise, threshold
from fillblanks.update import Step, first_order

StepLabel = Literal["step", "first", "true"]


@dataclass(frozen=True)
class Fill:
    """What came out for N images; every tensor is on the CPU.

    An image without an accepted draw is a miss: its update, prototype and composite are NaN, its
    `masked` is the first draw.
    """

    update: Tensor  # (N, C, H, W): the average (4.1); of each pixel's own step (4.2)
    standard_error: Tensor  # (N, C, H, W), of `update`; NaN where fewer than two draws tell
    prototype: Tensor  # (N, C, H, W) in [0, 1]: T over all pixels; 4.2: the wholly filled image
    composite: Tensor  # (N, C, H, W) in [0, 1]: `masked` with its blanks filled
    masked: Tensor  # (N, C, H, W): the first accepted M(x); 4.2: the first masked image
    blank: Tensor  # bool (N, 1, H, W): the blanks of `masked`
    label: Tensor  # int64 (N,): prediction for the masked input; 4.1: of the accepted draws
    accepted: Tensor  # int64 (N,): draws whose prediction was the reference label; 4.2: 0 or 1
    drawn: Tensor  # int64 (N,): draws made, up to and with the last accepted one; 4.2: 1
    steps: Tensor  # (N, k, C, H, W): 4.2 the image after each step; 4.1 (k = 0) has none
    step_labels: Tensor  # int64 (N, k): the class that each step was filled for

    @property
    def found(self) -> Tensor:
        """Whether anything was accepted, bool (N,)."""
        return self.accepted > 0


def expected_fill(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    mask_ratio: float = 0.25,
    patch_size: int = 2,
    samples: int = 10_000,
    max_draws: int | None = None,
    seed: int = 0,
    average: Average = "per_blank",
    normalise: Normalise = "positive",
    binarise: Binarise = 0.1,
    blank_value: BlankValue = 0.0,
    target: int | None = None,
    indices: Tensor | None = None,
    plan: Plan | None = None,
) -> Fill:
    """The expected update over random masks, and the prototype it draws (section 4.1, Eq. 5).

    `images` are float (N, C, H, W) in [0, 1]. A draw blanks round(mask_ratio * P) of the P patches
    of `patch_size` pixels; it is accepted when the network predicts the reference label for the
    masked image: `labels` (int64, (N,)) where given, else the prediction for the whole image. Draws
    go on until `samples` are accepted or `max_draws` (4 x samples unless given) are made.

    `average` over the accepted draws: "per_blank" takes each pixel's mean over the draws in which
    it was blank (0 where it never was), "masked" the mean of the update at blanks, "raw" the mean
    of the whole update. `normalise` and `binarise` as in `threshold`. Blanks get `blank_value`, or
    the classifier's `mean`. The update asks for the class `target`, or for the reference label.
    `indices` (int64, (N,), 0 to N-1 unless given) are the identities that masks depend on.

    Raises ValueError where the input is not as described.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, blank_value, target, indices, plan
    )
    if samples < 1:
        raise ValueError(f"Expected samples >= 1, got {samples}.")
    limit = 4 * samples if max_draws is None else max_draws
    if limit < samples:
        raise ValueError(f"Expected max_draws >= samples ({samples}), got {max_draws}.")
    given.blank_count = masks.blank_count(mask_ratio, given.patches)
    with classifier.steady():
        given.probe()
        chunk = given.plan.chunk
        parts = [
            _expected_window(
                given, slice(at, at + chunk), samples, limit, average, normalise, binarise
            )
            for at in range(0, len(given.images), chunk)
        ]
    return _join(parts)


def progressive_fill(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    groups: int = 4,
    patch_size: int = 2,
    seed: int = 0,
    label: StepLabel = "step",
    normalise: Normalise = "positive",
    binarise: Binarise = 0.1,
    blank_value: BlankValue = 0.0,
    target: int | None = None,
    indices: Tensor | None = None,
    plan: Plan | None = None,
) -> Fill:
    """Fills each image group by group until every pixel is the network's own (section 4.2).

    The P patches of `patch_size` pixels are parted at random into `groups`; step i blanks group i
    of the current image, predicts, and fills. `label` is what a step is filled for: "step", its own
    prediction (Eq. 1-2); "first", the first masked image's prediction; "true", `labels`. A `target`
    class takes precedence. An image counts as accepted when its first masked image is predicted as
    the reference label: `labels` where given, else the prediction for the whole image. The other
    arguments are those of `expected_fill`.

    Raises ValueError where the input is not as described.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, blank_value, target, indices, plan
    )
    if label not in ("step", "first", "true"):
        raise ValueError(f'Expected label to be "step", "first" or "true", got {label!r}.')
    if label == "true" and labels is None:
        raise ValueError('Expected labels with label="true", got none. Give them, or take "step".')
    with classifier.steady():
        given.probe()
        chunk = given.plan.chunk
        parts = [
            _progressive_window(given, slice(at, at + chunk), groups, label, normalise, binarise)
            for at in range(0, len(given.images), chunk)
        ]
    return _join(parts)


def _expected_window(
    given: FillInput,
    window: slice,
    samples: int,
    limit: int,
    average: Average,
    normalise: Normalise,
    binarise: Binarise,
) -> Fill:
    images, indices = given.images[window], given.indices[window]
    reference = given.reference(window)
    sums = Averages(images, average)
    accepted = np.zeros(len(images), dtype=np.int64)
    drawn = np.zeros_like(accepted)
    first = np.zeros_like(accepted)

    while True:
        # No image is given more draws than it still needs, so the last draw of an image that got
        # its samples is an accepted one, whatever the chunk.
        need = np.minimum(samples - accepted, limit - drawn)
        take = np.diff(np.minimum(np.cumsum(need), given.plan.chunk), prepend=0)
        if not take.any():
            break
        image = np.repeat(np.arange(len(images)), take)
        draw = np.arange(len(image)) - np.repeat(np.cumsum(take) - take, take) + drawn[image]
        rows = torch.from_numpy(image).to(images.device)
        patches = masks.blank_patches(
            given.keys(indices[rows], torch.from_numpy(draw).to(images.device)), given.blank_count
        )
        blank = given.pixels(patches)
        step = first_order(
            given.classifier, given.mask(images[rows], blank), given.targets(reference[rows])
        )
        hit = _hits(step.predicted, reference[rows])
        sums.add(rows[hit], step.update[hit], blank[hit])

        hits = hit.cpu().numpy()
        drawn += take
        found, position = np.unique(image[hits], return_index=True)
        new = accepted[found] == 0
        first[found[new]] = draw[hits][position[new]]
        accepted += np.bincount(image[hits], minlength=len(images))

    update, standard_error = sums.mean(), sums.standard_error()
    found_any = torch.from_numpy(accepted > 0).to(images.device)[:, None, None, None]
    update = torch.where(found_any, update, torch.nan).to(images.dtype)
    first_keys = given.keys(indices, torch.from_numpy(first).to(images.device))
    blank = given.pixels(masks.blank_patches(first_keys, given.blank_count))
    masked = given.mask(images, blank)
    filled = threshold(update, blank, normalise=normalise, binarise=binarise)
    composite = torch.where(blank, filled, masked)
    prototype = threshold(update, torch.ones_like(blank), normalise=normalise, binarise=binarise)
    return Fill(
        update=update.cpu(),
        standard_error=standard_error.to(images.dtype).cpu(),
        prototype=prototype.cpu(),
        composite=torch.where(found_any, composite, torch.nan).cpu(),
        masked=masked.cpu(),
        blank=blank.cpu(),
        label=reference.cpu(),
        accepted=torch.from_numpy(accepted),
        drawn=torch.from_numpy(drawn),
        steps=images.new_empty(len(images), 0, *images.shape[1:]).cpu(),
        step_labels=reference.new_empty(len(images), 0).cpu(),
    )


def _progressive_window(
    given: FillInput,
    window: slice,
    groups: int,
    label: StepLabel,
    normalise: Normalise,
    binarise: Binarise,
) -> Fill:
    images, indices = given.images[window], given.indices[window]
    reference = given.reference(window)
    group = fill_regions(
        images, groups=groups, patch_size=given.patch_size, seed=given.seed, indices=indices
    )
    current, update = images, torch.zeros_like(images)
    passes: list[Step] = []
    masked_images, filled_images = [], []
    for i in range(groups):
        blank = group == i
        masked = given.mask(current, blank)
        if given.target is not None:
            wanted = torch.full_like(reference, given.target)
        elif label == "true":
            wanted = reference
        elif label == "first" and passes:
            wanted = passes[0].label
        else:
            wanted = None
        step = first_order(given.classifier, masked, wanted)
        filled = threshold(step.update, blank, normalise=normalise, binarise=binarise)
        current = torch.where(blank, filled, masked)
        update = torch.where(blank, step.update, update)
        passes.append(step)
        masked_images.append(masked)
        filled_images.append(current)

    first = passes[0].predicted
    return Fill(
        update=update.cpu(),
        standard_error=torch.full_like(update, torch.nan).cpu(),
        prototype=current.cpu(),
        composite=filled_images[0].cpu(),
        masked=masked_images[0].cpu(),
        blank=(group == 0).cpu(),
        label=first.cpu(),
        accepted=_hits(first, reference).long().cpu(),
        drawn=torch.ones(len(images), dtype=torch.int64),
        steps=torch.stack(filled_images, dim=1).cpu(),
        step_labels=torch.stack([step.label for step in passes], dim=1).cpu(),
    )


def _hits(predicted: Tensor, reference: Tensor) -> Tensor:
    """Where the prediction is the reference; -1, logits that are not finite, hits nothing."""
    return (predicted == reference) & (predicted >= 0)


def _join(parts: list[Fill]) -> Fill:
    return Fill(
        **{name: torch.cat([getattr(p, name) for p in parts]) for name in Fill.__dataclass_fields__}
    )
