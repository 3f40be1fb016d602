"""expected_fill (section 4.1) and progressive_fill (section 4.2): what a network puts in blanks."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.averages import Average
from fillblanks.classifier import Classifier
from fillblanks.engine import Engine
from fillblanks.inputs import BlankValue, FillInput, fill_regions
from fillblanks.memory import OutOfMemory
from fillblanks.plan import Plan
from fillblanks.sampling import Sampler, hits, looks
from fillblanks.threshold import Binarise, Normalise, comparable, overlap, threshold
from fillblanks.update import Step, Update

ToFill = Callable[[Tensor, Tensor], Tensor]
StepLabel = Literal["step", "first", "true"]


@dataclass(frozen=True)
class Fill:
    """What came out for N images; every tensor is on the CPU.

    An image without an accepted draw is a miss: its update, prototype and composite are NaN, its
    `masked` is the first draw.
    """

    update: Tensor  # (N, C, H, W): the average (4.1); of each pixel's own step (4.2)
    standard_error: Tensor  # (N, C, H, W), of `update`; NaN where fewer than two draws tell
    stability: (
        Tensor  # float64 (N,): overlap of the prototypes of two halves of the draws; 4.2: NaN
    )
    prototype: Tensor  # (N, C, H, W) in [0, 1]: T over all pixels; 4.2: the wholly filled image
    composite: Tensor  # (N, C, H, W) in [0, 1]: `masked` with its blanks filled
    masked: Tensor  # (N, C, H, W): the first accepted M(x); 4.2: the first masked image
    blank: Tensor  # bool (N, 1, H, W): the blanks of `masked`
    label: Tensor  # int64 (N,): prediction for the masked input; 4.1: of the accepted draws
    accepted: Tensor  # int64 (N,): draws whose prediction was the reference label; 4.2: 0 or 1
    drawn: Tensor  # int64 (N,): draws made, up to and with the last accepted one; 4.2: 1
    steps: Tensor  # (N, k, C, H, W): 4.2 the image after each step; 4.1 (k = 0) has none
    step_labels: Tensor  # int64 (N, k): the class that each step was filled for
    plan: Plan  # how the passes were run

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All but the plan, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

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
    patch_size: int | None = None,
    samples: int = 10_000,
    max_draws: int | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    average: Average = "per_blank",
    normalise: Normalise = "positive",
    binarise: Binarise = 0.1,
    blank_value: BlankValue = 0.0,
    target: int | None = None,
    update: Update = "first_order",
    indices: Tensor | None = None,
    plan: Plan | None = None,
) -> Fill:
    """The expected update over random masks, and the prototype it draws (section 4.1, Eq. 5).

    `images` are float (N, C, H, W) in [0, 1]. A draw blanks round(mask_ratio * P) of the P patches
    of `patch_size` pixels (unless given, 2 up to 28x28, else a quarter of the shorter side); it is
    accepted when the network predicts the reference label for the masked image: `labels` (int64,
    (N,)) where given, else the prediction for the whole image. Draws go on until `samples` are
    accepted or `max_draws` (4 x samples unless given) are made.

    With a `tolerance` an image is done earlier, when the prototypes of two halves of its draws,
    those of even and of odd number, overlap by at least 1 - tolerance (intersection over union,
    looked at after 64, 96, 128, 192, ... accepted draws). The whole is then usually closer to its
    limit than the halves are to each other.

    `average` over the accepted draws: "per_blank" takes each pixel's mean over the draws in which
    it was blank (0 where it never was), "masked" the mean of the update at blanks, "raw" the mean
    of the whole update. `normalise` and `binarise` as in `threshold`. Blanks get `blank_value`, or
    the classifier's `mean`. The update asks for the class `target`, or for the reference label;
    "second_order" takes the gradient's curvature into account (section 4.5), at many times the cost
    and never in reduced precision.
    `indices` (int64, (N,), 0 to N-1 unless given) are the identities that masks depend on. `plan`
    says how passes are run; without one the network is taken as it is, in chunks that are halved
    until they fit into memory. `calibrate` finds a faster plan.

    Raises OutOfMemory where a pass does not fit into memory, and ValueError where the input is not
    as described.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, blank_value, target, indices, plan, update
    )
    if samples < 1:
        raise ValueError(f"Expected samples >= 1, got {samples}.")
    limit = draw_limit(samples, max_draws)
    if limit < samples:
        raise ValueError(f"Expected max_draws >= samples ({samples}), got {max_draws}.")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ValueError(f"Expected tolerance in [0, 1), got {tolerance}.")
    given.blank_count = masks.blank_count(mask_ratio, given.patches)
    to_fill = partial(threshold, normalise=normalise, binarise=binarise)
    to_compare = partial(comparable, normalise=normalise, binarise=binarise)
    window = partial(
        _expected_window, given, samples, limit, average, to_fill, to_compare, tolerance
    )
    # Only averages of first-order updates bear rounding: BFGS takes differences of gradients.
    plan_used = given.plan if update == "first_order" else given.plan.exact
    return _filled(given, window, plan_used, halve=plan is None)


def draw_limit(samples: int, max_draws: int | None) -> int:
    """Draws of an image at the most: `max_draws`, or 4 x samples."""
    return 4 * samples if max_draws is None else max_draws


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

    The P patches of `patch_size` pixels are parted at random into `groups`; step i blanks group i
    of the current image, predicts, and fills. `label` is what a step is filled for: "step", its own
    prediction (Eq. 1-2); "first", the first masked image's prediction; "true", `labels`. A `target`
    class takes precedence. An image counts as accepted when its first masked image is predicted as
    the reference label: `labels` where given, else the prediction for the whole image. The other
    arguments are those of `expected_fill`.

    Raises ValueError where the input is not as described.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, blank_value, target, indices, plan, update
    )
    if label not in ("step", "first", "true"):
        raise ValueError(f'Expected label to be "step", "first" or "true", got {label!r}.')
    if label == "true" and labels is None:
        raise ValueError('Expected labels with label="true", got none. Give them, or take "step".')
    to_fill = partial(threshold, normalise=normalise, binarise=binarise)
    window = partial(_progressive_window, given, groups, label, to_fill)
    return _filled(given, window, given.plan.exact, halve=plan is None)


def _filled(
    given: FillInput, window: Callable[[Engine, slice], Fill], plan: Plan, halve: bool
) -> Fill:
    """All windows, joined; with half the plan, where that may be, as long as memory is short."""
    while True:
        try:
            parts = given.in_windows(plan, window)
        except OutOfMemory:
            if not halve or plan.halved() == plan:
                raise
            plan = plan.halved()
        else:
            break
    joined = {name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors}
    return Fill(**joined, plan=plan)


def _expected_window(
    given: FillInput,
    samples: int,
    limit: int,
    average: Average,
    to_fill: ToFill,
    to_compare: Callable[[Tensor], Tensor],
    tolerance: float | None,
    engine: Engine,
    window: slice,
) -> Fill:
    sampler = Sampler(given, engine, window, average)
    images, everywhere = sampler.images, torch.ones_like(sampler.images[:, :1], dtype=torch.bool)

    def stability() -> Tensor:
        even, odd = map(to_compare, sampler.sums.halves())
        found = torch.from_numpy(sampler.accepted > 1).to(images.device)
        return torch.where(found, overlap(even, odd), torch.nan)

    wanted = np.ones(len(images), dtype=bool)
    for look in [samples] if tolerance is None else looks(samples):
        sampler.draw(look, limit, wanted)
        if tolerance is not None:
            wanted &= ~(stability() >= 1 - tolerance).cpu().numpy()

    found = torch.from_numpy(sampler.accepted > 0).to(images.device)[:, None, None, None]
    update = torch.where(found, sampler.sums.mean(), torch.nan).to(images.dtype)
    first = given.keys(sampler.indices, sampler.first)
    blank = given.pixels(masks.blank_patches(first, given.blank_count))
    masked = given.mask(images, blank)
    composite = torch.where(blank, to_fill(update, blank), masked)
    return Fill(
        update=update.cpu(),
        standard_error=sampler.sums.standard_error().to(images.dtype).cpu(),
        stability=stability().cpu(),
        prototype=to_fill(update, everywhere).cpu(),
        composite=torch.where(found, composite, torch.nan).cpu(),
        masked=masked.cpu(),
        blank=blank.cpu(),
        label=sampler.reference.cpu(),
        accepted=torch.from_numpy(sampler.accepted),
        drawn=torch.from_numpy(sampler.drawn),
        steps=images.new_empty(len(images), 0, *images.shape[1:]).cpu(),
        step_labels=sampler.reference.new_empty(len(images), 0).cpu(),
        plan=engine.plan,
    )


def _progressive_window(
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
        masked = given.mask(current, blank)
        if given.target is not None:
            wanted = torch.full_like(reference, given.target)
        elif label == "true":
            wanted = reference
        elif label == "first" and passes:
            wanted = passes[0].label
        else:
            wanted = None
        step = engine.steps(masked, wanted, given.update)
        step = step._replace(update=step.update.to(images.dtype))
        filled = to_fill(step.update, blank)
        current = torch.where(blank, filled, masked)
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
