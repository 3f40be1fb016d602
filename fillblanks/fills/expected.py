"""expected_fill (section 4.1): the average update over random masks, and its prototype."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.classifier import Classifier
from fillblanks.engine.comparison import overlap
from fillblanks.engine.engine import Engine
from fillblanks.engine.plan import Plan
from fillblanks.fills.averages import Average
from fillblanks.fills.fill import Fill, ToFill, filled
from fillblanks.fills.inputs import BlankValue, FillInput, mask
from fillblanks.fills.sampling import Sampler, looks
from fillblanks.fills.threshold import Binarise, Normalise, comparable, threshold
from fillblanks.fills.update import Update


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
    """The expected update over random masks, and its prototype (section 4.1, Eq. 5).

    `images` are float (N, C, H, W) in [0, 1]. A draw blanks round(mask_ratio * P) of the P patches
    of `patch_size` pixels (by default 2 up to 28x28, else a quarter of the shorter side). It is
    accepted if the network predicts the reference label for the masked image: `labels` (int64 (N,),
    0 to K-1) if given, else the prediction for the whole image. Draws go on until `samples` are
    accepted or `max_draws` (by default 4 * samples) are made.

    With a `tolerance` in [0, 1) an image is done earlier: if the prototypes of two halves of its
    draws, those of even and of odd number, overlap by at least 1 - tolerance (intersection over
    union, computed after 64, 96, 128, 192, ... accepted draws). The prototype of all draws is then
    usually closer to its limit than the halves are to each other.

    `average` over the accepted draws: "per_blank", each pixel's mean over the draws in which it was
    blank (0 if it never was); "masked", the mean of the update at blanks; "raw", the mean of the
    whole update (Eq. 5). `normalise` and `binarise` are those of `threshold`. Blanks get
    `blank_value`: a number in [0, 1], the classifier's "mean", or their pixels of a tensor (N, C,
    H, W) in [0, 1]. The update is for the class `target`, 0 to K-1, by default the reference label.
    `update` "second_order" takes the gradient's curvature into account (section 4.5), at many times
    the cost and never in reduced precision. Masks depend on `seed`, an int of 64 bits, and on
    `indices`, int64 (N,), the identities of the images (by default 0 to N-1). `plan` says how
    passes are run; without a plan the network is taken as it is, in chunks that are halved until
    they fit into memory. `tune` finds a faster plan.

    Raises ValueError if the input is not as described, or the network does not give finite logits
    (N, K) with a gradient, the same for an image alone and in a batch; NotRewritable (a ValueError)
    if the plan needs a graph that the network does not have; OutOfMemory if a pass does not fit
    into memory.
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
    window = partial(_window, given, samples, limit, average, to_fill, to_compare, tolerance)
    plan_used = given.plan if given.order.reducible else given.plan.exact
    return filled(given, window, plan_used, halve=plan is None)


def draw_limit(samples: int, max_draws: int | None) -> int:
    """The highest number of draws of an image: `max_draws`, by default 4 * samples."""
    return 4 * samples if max_draws is None else max_draws


def _window(
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
    masked = mask(images, blank, sampler.blanks)
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
