"""One fill that all images share, and which turns them into a class: what a trigger would be."""

from dataclasses import replace

import torch
from torch import Tensor

from fillblanks.attribution.windows import inside
from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine, engine_of
from fillblanks.engine.plan import Plan, default_plan
from fillblanks.fills.update import FIRST_ORDER
from fillblanks.masks import keys

STEPS, FAINT_STEPS, BATCH = 80, 30, 24
_DRAW = -10  # draws of masks use keys 0, 1, ..., others those from -1 down
_KEEPS = 0.8  # share of the mean square of updates that a step keeps
_TINY = 1e-12


def shared_fill(
    classifier: Classifier,
    images: Tensor,
    label: int,
    *,
    size: int | None = 5,
    opacity: float = 1.0,
    start: float = 0.0,
    steps: int | None = None,
    batch: int = BATCH,
    rate: float = 0.25,
    seed: int = 0,
    plan: Plan | None = None,
) -> Tensor:
    """One image (C, H, W) in [0, 1] whose windows, put into `images`, turn them into `label`.

    `images` are float (n, C, H, W) in [0, 1], of other classes. Every pixel of the fill begins at
    `start`. Each step blanks one window of `size` pixels at a random place in each of `batch`
    images, and replaces it by the fill there. Of the first-order updates toward `label` (Eq. 2), a
    pixel gets the mean over the images in which it was blank, divided by the root of its running
    mean square, times `rate`, which falls to 0. No pixel knows of another place than its own, so
    the window that turns most images is also the place. With `size` None the blank is the whole
    image. With an `opacity` below 1 the fill is mixed with the image. `steps` is by default 80 for
    windows and 30 for the whole image.

    Draws depend on `seed`, an int of 64 bits, and `label`. The fill is on the CPU.

    Raises ValueError for a size that does not fit, an opacity outside (0, 1], steps or a batch
    below 1, logits that are not finite, or as `Classifier.to_input` does.
    """
    height, width = images.shape[2:]
    if steps is None:
        steps = steps_of(size)
    _expect(size, opacity, steps, batch, min(height, width))
    given = classifier.to_input(images)
    engine = _engine(classifier, given, plan, batch)
    dtype, device = engine.classifier.dtype, given.device
    chosen, rows, columns = (
        one.to(device) for one in _draws(seed, label, steps, batch, images.shape, size)
    )
    fill = torch.full(images.shape[1:], start, dtype=dtype, device=device)
    square = torch.zeros_like(fill)
    labels = torch.full((batch,), label, device=device)
    with classifier.steady(), engine.steady():
        for step in range(steps):
            blank = _blank(height, width, rows[step], columns[step], size)
            seen = _filled(given[chosen[step]], fill, blank, opacity)
            found = engine.steps(seen, labels, FIRST_ORDER)
            if (found.predicted < 0).any():
                raise ValueError(
                    "Expected finite logits, got NaN or infinity for an image with a filled blank. "
                    "Check the weights, mean and std."
                )
            count = blank.sum(0)
            update = found.update.to(dtype).mul(blank).sum(0) / count.clamp(min=1)
            was_blank = count > 0
            square = torch.where(
                was_blank, _KEEPS * square + (1 - _KEEPS) * update.square(), square
            )
            moved = rate * (1 - step / steps) * update / (square.sqrt() + _TINY)
            fill = torch.where(was_blank, (fill + moved).clamp(0, 1), fill)
    return fill.float().cpu()


def steps_of(size: int | None) -> int:
    """The default number of steps, for windows of `size` or (None) the whole image."""
    return FAINT_STEPS if size is None else STEPS


def window_logits(
    classifier: Classifier,
    images: Tensor,
    fill: Tensor,
    places: Tensor,
    *,
    size: int | None,
    opacity: float = 1.0,
    plan: Plan | None = None,
) -> Tensor:
    """Logits (P, n, K), on the CPU, of each image with the window of `fill` at each place.

    `images` are (n, C, H, W) and `fill` (C, H, W), in [0, 1]; `places` int64 (P, 2) the top left
    pixels of windows of `size` pixels. With `size` None the window is the whole image.
    """
    given = classifier.to_input(images)
    engine = _engine(classifier, given, plan, len(places) * len(images))
    pattern, count = fill.to(given), len(images)
    found = []
    with classifier.steady(), engine.steady(), torch.no_grad():
        for some in torch.arange(len(places) * count).split(engine.plan.chunk):
            rows, columns = places[some // count].to(given.device).unbind(1)
            blank = _blank(images.shape[2], images.shape[3], rows, columns, size)
            seen = _filled(given[some % count], pattern, blank, opacity)
            found.append(engine.logits(seen).float().cpu())
    return torch.cat(found).view(len(places), count, -1)


def with_window(
    images: Tensor, fill: Tensor, place: Tensor, size: int | None, opacity: float = 1.0
) -> Tensor:
    """`images` (n, C, H, W) with the window of `fill` (C, H, W) at `place`, int64 (2,)."""
    blank = _blank(images.shape[2], images.shape[3], place[:1], place[1:], size)
    return _filled(images, fill, blank, opacity)


def _engine(classifier: Classifier, given: Tensor, plan: Plan | None, most: int) -> Engine:
    """An engine for exact passes of at most `most` images: a chunk that is not full is padded."""
    plan = (plan or default_plan(*given.shape[1:])).exact
    chunk = min(plan.chunk, most)
    return engine_of(classifier, replace(plan, chunk=chunk, block=chunk), given)


def _draws(
    seed: int, label: int, steps: int, batch: int, shape: torch.Size, size: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """For each step and image of its batch: which of the images, and the row and column."""
    one = torch.tensor([label])
    drawn = keys(seed, one, torch.full_like(one, _DRAW), steps * batch * 3).view(steps, batch, 3)
    count, _, height, width = shape
    sides = (1, 1) if size is None else (height - size + 1, width - size + 1)
    chosen, rows, columns = (
        drawn[:, :, at].remainder(most) for at, most in enumerate((count, *sides))
    )
    return chosen, rows, columns


def _blank(height: int, width: int, rows: Tensor, columns: Tensor, size: int | None) -> Tensor:
    if size is None:
        return torch.ones((len(rows), 1, height, width), dtype=torch.bool, device=rows.device)
    return inside(height, width, torch.stack([rows, columns], 1).cpu(), size).to(rows.device)


def _filled(images: Tensor, fill: Tensor, blank: Tensor, opacity: float) -> Tensor:
    mixed = images + opacity * (fill - images) if opacity < 1 else fill
    return torch.where(blank, mixed, images)


def _expect(size: int | None, opacity: float, steps: int, batch: int, side: int) -> None:
    if size is not None and not 1 <= size <= side:
        raise ValueError(f"Expected a window of 1 to {side} pixels, the shorter side, got {size}.")
    if not 0 < opacity <= 1:
        raise ValueError(f"Expected an opacity above 0, at most 1, got {opacity}.")
    if steps < 1 or batch < 1:
        raise ValueError(f"Expected steps and a batch of at least 1, got {steps} and {batch}.")
