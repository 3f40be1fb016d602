"""complete: fills the blanks of images in many steps, with the prior of natural images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine
from fillblanks.engine.plan import Plan
from fillblanks.fills.inputs import FillInput
from fillblanks.synthesis.ascent import ascend
from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.harmonic import PushPull, harmonic
from fillblanks.synthesis.parametrisation import Parametrisation
from fillblanks.synthesis.recipe import Recipe
from fillblanks.synthesis.spectrum import Spectrum

_MOST_AT_ONCE = 32  # a larger batch is hardly faster, and the last one is padded


@dataclass(frozen=True)
class Completion:
    """Images with their blanks filled; every tensor is on the CPU."""

    image: Tensor  # (N, C, H, W) in [0, 1]: visible pixels as given, blanks filled
    start: Tensor  # (N, C, H, W) in [0, 1]: blanks interpolated smoothly, before the first step
    blank: Tensor  # bool (N, 1, H, W)
    label: Tensor  # int64 (N,): the class that each image was filled for
    recipe: Recipe
    plan: Plan  # how the passes were run


def complete(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    spectrum: Spectrum,
    mask_ratio: float | None = None,
    patch_size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    indices: Tensor | None = None,
    recipe: Recipe | None = None,
    plan: Plan | None = None,
) -> Completion:
    """Fills the blanks of images as the network would for the classes `labels`.

    `images` are float (N, C, H, W) in [0, 1]; `labels`, int64 (N,) from 0 to K-1, are the classes
    that are asked for, be they those of the images or not. Only the blanks change. They begin as a
    smooth interpolation of the visible pixels, and then `steps` steps raise the logit of the class,
    in coefficients of frequencies that are scaled by `spectrum`, that of images like these:
    `Spectrum.of(images)`, best of other images. Each step sees the image moved, zoomed and with
    noise. A blank is a patch of `patch_size` pixels; round(mask_ratio * P) of the P patches are
    blank. Defaults are those of `Recipe.of`: patches of an eighth of the shorter side, three
    quarters of them blank, and 32 steps; for images up to 64 pixels a quarter, and half of them. A
    `recipe` replaces them all.

    Masks and draws depend on `seed`, an int of 64 bits, and on `indices`, int64 (N,), the
    identities of the images (by default 0 to N-1), and not on the class. Without a `plan` the
    network is taken as it is, in batches that are halved until they fit into memory. The same plan
    gives the same bytes on the same kind of device, however images are split over calls.

    Raises ValueError if the input is not as described, or the network does not give finite logits
    (N, K) with a gradient, the same for an image alone and in a batch; OutOfMemory if a pass does
    not fit into memory.

    Not in the paper: the parametrisation is that of Olah et al. 2017 (Feature Visualization), the
    use of a classifier for filling that of Santurkar et al. 2019 (arXiv 1906.09453), who took
    robust networks and no prior.
    """
    given = FillInput(
        classifier, images, labels, patch_size, seed, 0.0, None, indices, plan, "first_order"
    )
    found = recipe or Recipe.of(
        given.height, given.width, patch_size=patch_size, mask_ratio=mask_ratio, steps=steps
    )
    shape = tuple(images.shape[1:])
    if spectrum.shape != shape:
        raise ValueError(
            f"Expected a spectrum of images of shape {shape}, got one of {spectrum.shape}. Make it "
            "from images of that shape: Spectrum.of(images)."
        )
    rows, columns = masks.grid_shape(given.height, given.width, found.patch_size)
    given.patches, given.patch_size = rows * columns, found.patch_size
    given.blank_count = masks.blank_count(found.mask_ratio, given.patches)
    # As they were given: a network in half precision would round them.
    pixels = images.detach().to(classifier.device, working_dtype(classifier))
    window = partial(_window, given, found, spectrum, pixels)
    parts, used = given.in_fitting_windows(at_once(given.plan), window, halve=plan is None)
    image, start, blank = (torch.cat(values) for values in zip(*parts, strict=True))
    return Completion(image, start, blank, torch.as_tensor(labels).long().cpu(), found, used)


def at_once(plan: Plan) -> Plan:
    """The plan of synthesis: exact passes, a batch at a time."""
    chunk = min(plan.chunk, _MOST_AT_ONCE)
    return replace(plan.exact, chunk=chunk, block=chunk)


def working_dtype(classifier: Classifier) -> torch.dtype:
    """The dtype in which images are made: float64 for a network of float64, else float32."""
    return torch.float64 if classifier.dtype == torch.float64 else torch.float32


def padded(values: Tensor, count: int) -> Tensor:
    """`values`, (n, ...), and copies of the last up to `count` rows.

    Every window then has one size: the last bits of a result depend on the size of a batch.
    """
    return values[torch.arange(count, device=values.device).clamp(max=len(values) - 1)]


def _window(
    given: FillInput,
    recipe: Recipe,
    spectrum: Spectrum,
    pixels: Tensor,
    engine: Engine,
    window: slice,
) -> tuple[Tensor, Tensor, Tensor]:
    count, size = len(pixels[window]), engine.plan.chunk
    images = padded(pixels[window], size)
    indices = padded(given.indices[window], size)
    labels = padded(given.reference(window, size), size)
    patches = masks.blank_patches(given.keys(indices, torch.zeros_like(indices)), given.blank_count)
    blank = given.pixels(patches)
    put = _Put(images, blank, recipe.seamless)
    spectrum = spectrum.to(images.device, images.dtype)
    made = Parametrisation(spectrum, "spectrum", put.start)
    draws = Draws(given.seed, indices)
    phases = draws.uniform("phase", 0, spectrum.magnitude.numel()).to(images.dtype)
    parameters = ascend(
        engine,
        made.start(phases, recipe.amplitude),
        lambda values: put(made(values)),
        labels,
        draws,
        view=recipe.view,
        noise=recipe.noise,
        steps=recipe.steps,
        rate=recipe.rate,
    )
    return put(made(parameters))[:count].cpu(), put.start[:count].cpu(), blank[:count].cpu()


class _Put:
    """Puts fills into the blanks of images (N, C, H, W); `blank` is bool (N, 1, H, W)."""

    def __init__(self, images: Tensor, blank: Tensor, seamless: bool):
        self._images, self._blank = images, blank
        keep = (~blank).to(images.dtype)
        self.start = harmonic(images, keep).clamp(0, 1)
        self._blend: Callable[[Tensor], Tensor] | None = PushPull(keep) if seamless else None

    def __call__(self, fills: Tensor) -> Tensor:
        if self._blend is not None:
            fills = (fills + self._blend(self._images - fills)).clamp(0, 1)
        return torch.where(self._blank, fills, self._images)
