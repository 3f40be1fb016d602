"""class_pictures: draws whole pictures of classes, as `complete` with nothing but blanks."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine
from fillblanks.engine.plan import Plan
from fillblanks.fills.inputs import FillInput
from fillblanks.synthesis.ascent import ascend
from fillblanks.synthesis.complete import at_once, padded, working_dtype
from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.parametrisation import Parametrisation, Prior
from fillblanks.synthesis.recipe import LARGE
from fillblanks.synthesis.spectrum import Spectrum
from fillblanks.synthesis.views import Crop, Jitter, View

_STEPS: dict[Prior, int] = {"spectrum": 64, "maco": 128}
_RATES: dict[Prior, float] = {"spectrum": 0.05, "maco": 0.3}
_AMPLITUDES: dict[Prior, float] = {"spectrum": 0.05, "maco": 1.0}


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of N classes; every tensor is on the CPU."""

    image: Tensor  # (N, C, H, W) in [0, 1]
    start: Tensor  # (N, C, H, W) in [0, 1]: the same spectrum with random phases
    weight: Tensor  # (N, H, W) in [0, 1]: how much the steps relied on each pixel
    label: Tensor  # int64 (N,): the class of each picture
    plan: Plan  # how the passes were run


def default_steps(prior: Prior) -> int:
    """The number of steps of a prior, if none is given."""
    return _STEPS[prior]


def class_pictures(
    classifier: Classifier,
    labels: Tensor,
    *,
    spectrum: Spectrum,
    prior: Prior = "spectrum",
    crops: bool = False,
    steps: int | None = None,
    seed: int = 0,
    indices: Tensor | None = None,
    plan: Plan | None = None,
) -> ClassPictures:
    """Draws a picture for each of the classes `labels`, int64 (N,) from 0 to K-1.

    Pictures have the shape of `spectrum`, that of images like those of the network. They begin as
    noise with this spectrum and random phases; `steps` steps raise the logit of the class. With the
    `prior` "spectrum" amplitudes and phases are free (64 steps by default), with "maco" the phases
    alone (128 steps; Fel et al. 2023, arXiv 2306.06805). Each step sees the picture with noise and
    rolled, or, with `crops`, a random part of it. Crops hide what stands at one place in all
    images of a class: a planted mark that shows without them did not show with them.

    `weight` is the sum of the gradient's magnitude over all steps, divided by its maximum: shown as
    opacity it hides parts on which the class does not rest (the transparency of MACO).

    Draws depend on `seed`, an int of 64 bits, and on `indices`, int64 (N,), the identities of the
    pictures (by default 0 to N-1), and not on the class. `plan` and the errors are those of
    `complete`.
    """
    steps = _STEPS[prior] if steps is None else steps
    if steps < 1:
        raise ValueError(f"Expected steps >= 1, got {steps}.")
    labels = torch.as_tensor(labels)
    grey = spectrum.mean.float().clamp(0, 1)[None, :, None, None]
    images = grey.expand(len(labels), *spectrum.shape)
    given = FillInput(classifier, images, labels, 1, seed, 0.0, None, indices, plan, "first_order")
    window = partial(_window, given, spectrum, prior, crops, steps)
    parts, used = given.in_fitting_windows(at_once(given.plan), window, halve=plan is None)
    image, start, weight = (torch.cat(values) for values in zip(*parts, strict=True))
    return ClassPictures(image, start, weight, labels.long().cpu(), used)


def _window(
    given: FillInput,
    spectrum: Spectrum,
    prior: Prior,
    crops: bool,
    steps: int,
    engine: Engine,
    window: slice,
) -> tuple[Tensor, Tensor, Tensor]:
    count, size = len(given.images[window]), engine.plan.chunk
    dtype = working_dtype(given.classifier)
    base = padded(given.images[window], size).to(dtype)
    indices = padded(given.indices[window], size)
    labels = padded(given.reference(window, size), size)
    spectrum = spectrum.to(base.device, dtype)
    made = Parametrisation(spectrum, prior, base)
    draws = Draws(given.seed, indices)
    phases = draws.uniform("phase", 0, spectrum.magnitude.numel()).to(dtype)
    first = made.start(phases, _AMPLITUDES[prior])
    weight = torch.zeros_like(base[:, 0])

    def weigh(_step: int, _images: Tensor, gradient: Tensor) -> None:
        weight.add_(gradient.abs().sum(1))

    large = min(given.height, given.width) > LARGE
    noise = (0.05 if crops else 0.03) if large else 0.1
    last = ascend(
        engine,
        first,
        made,
        labels,
        draws,
        view=_view(crops, min(given.height, given.width)),
        noise=noise,
        steps=steps,
        rate=_RATES[prior],
        seen=weigh,
    )
    weight /= weight.amax((1, 2), keepdim=True).clamp(min=torch.finfo(dtype).tiny)
    return made(last)[:count].cpu(), made(first)[:count].cpu(), weight[:count].cpu()


def _view(crops: bool, side: int) -> View:
    return Crop() if crops else Jitter(max(1, side // 14), 0.0)
