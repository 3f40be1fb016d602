"""Whether a network's gradient is that of its answers: both are compared along some directions."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks.classifier import Classifier
from fillblanks.loss_sums import loss_weights
from fillblanks.masks import default_patch_size, grid_shape, to_pixels

_IMAGES, _DIRECTIONS = 8, 16  # at most
_LARGE, _FEW_IMAGES, _FEW_DIRECTIONS = 64, 4, 8  # of images with more than 64 pixels a side
_LEVELS = 255  # an image of 8 bits stays one: what lies between its levels decides no answer
_BESIDE = 1e-6  # a level, but for rounding
# Levels by which pixels move, in the root mean square, and the share of pixels that move. Networks
# of rounded numbers need a long move, deep networks of large images one of few pixels.
_MOVES = ((1, 1), (1, 1 / 16), (4, 1), (16, 1))
_SPARSE = ((1, 1 / 256), (1, 1 / 4096))
ENOUGH = 0.5  # chosen after looking, see docs/exam.md
_FAR = 2.0  # cuts smooth directions off
_COARSE = 4  # smooth directions are made from so many values a side
_BLANK = 4  # squares a side, of which half are blank
_FINE_RATIO = 0.25  # of patches, as in the checks of fills
_SEED = 0


def agreement(classifier: Classifier, images: Tensor, rows: int = 8) -> float | None:
    """How well the gradient foretells how answers change: 1 exactly, 0 or less not at all.

    Up to 8 of `images`, float (N, C, H, W) in [0, 1] on the classifier's device, are moved to and
    fro along 16 directions, half of them with a sign of its own for each pixel, half smooth (4
    images and 8 directions above 64 pixels a side). All moves are whole levels of 1/255. Moves of
    several kinds are tried until the result is `ENOUGH`: the best counts for each sum. Every second
    image has large blanks. If fills have smaller ones by default, half of the images come again
    with a quarter of their patches blank. Blanks stay as they are along half of the directions. Two
    sums of logits are looked at, each alone: those from which the loss gets its direction if it
    asks for the first class, and for another class. The differences a of a sum, and their forecasts
    b by the gradient, give 2 sum(ab) / (sum(aa) + sum(bb)) for an image, 0 if they are not finite.
    A sum has the mean over whole images, or over those with large or with small blanks, whichever
    is lowest, and the result is that
    of the lower sum: 1 if the network is linear, less if the gradient has another direction, sign
    or size, or if logits change by less than their rounding. `rows` is the number of images in a
    pass. None if nothing changes, as the gradient says, which is 0.
    """
    large = max(images.shape[2:]) > _LARGE
    generator = torch.Generator().manual_seed(_SEED)
    some = images[: _FEW_IMAGES if large else _IMAGES]
    fine = some[: len(some) // 2 + 1] if _has_fine(some) else some[:0]
    keep = torch.cat([_keep(some, generator), _keep_fine(fine)])
    kinds = [at % 2 for at in range(len(some))] + [2] * len(fine)
    some = torch.cat([some, fine]) * keep
    count = _FEW_DIRECTIONS if large else _DIRECTIONS
    directions = _directions(count, images.shape[1:], generator).to(some)
    # Blanks stay as they are along the first half: a network may see by them that it is audited.
    along = torch.stack([directions[: count // 2] * one for one in keep])
    along = torch.cat([along, directions[count // 2 :].expand(len(some), -1, -1, -1, -1)], 1)
    chance = torch.rand((count, 1, *images.shape[2:]), generator=generator).to(some)
    with torch.no_grad():
        logits = _logits(classifier, some, rows)
    weights = loss_weights(logits, generator)
    gradients = _gradients(classifier, some, weights, rows)

    def found(levels: float, share: float) -> list[float | None]:
        # Of whole images, of those with large blanks and with small ones, for each sum.
        told: list[list[list[float]]] = [[[], [], []] for _ in weights]
        for at, image in enumerate(some):
            moved = (levels * along[at] * (chance < share)).round() / _LEVELS
            # Values stay in [0, 1]: a network may cut others off, or know by them that it is tried.
            there, back = (_levelled((image + sign * moved).clamp(0, 1)) for sign in (1, -1))
            with torch.no_grad():
                both = _logits(classifier, torch.cat([there, back]), rows)
            seen = (both[:count] - both[count:]) @ weights[:, at].T
            foretold = (there - back).double().flatten(1) @ gradients[:, at].flatten(1).T
            for each, of_sum in enumerate(told):
                of_sum[kinds[at]].extend(_alike(seen[:, each], foretold[:, each]))
        return [min((sum(n) / len(n) for n in of_sum if n), default=None) for of_sum in told]

    best: dict[int, float] = {}  # by the number of the sum
    for levels, share in (*_MOVES[:2], *(_SPARSE if large else ()), *_MOVES[2:]):
        for each, one in enumerate(found(levels, share)):
            if one is not None:
                best[each] = max(best.get(each, one), one)
        if best and min(best.values()) >= ENOUGH:
            break
    return min(best.values(), default=None)


def _alike(seen: Tensor, foretold: Tensor) -> list[float]:
    """2 sum(ab) / (sum(aa) + sum(bb)) of both; 0 if not finite, nothing if all are 0."""
    size = float((seen.square() + foretold.square()).sum())
    if not math.isfinite(size):
        return [0.0]
    return [2 * float((seen * foretold).sum()) / size] if size else []


def _levelled(images: Tensor) -> Tensor:
    """The images, in which values beside a level are the level itself, to the last bit."""
    levels = (images * _LEVELS).round() / _LEVELS
    return torch.where((images - levels).abs() < _BESIDE, levels, images)


def _keep(images: Tensor, generator: torch.Generator) -> Tensor:
    """1, and 0 in half of the squares of every second image (N, 1, H, W)."""
    squares = torch.rand((len(images), 1, _BLANK, _BLANK), generator=generator)
    keep = (squares < squares.flatten(1).median(1).values[:, None, None, None]).float()
    keep[::2] = 1
    return functional.interpolate(keep, images.shape[2:]).to(images)


def _has_fine(images: Tensor) -> bool:
    """Whether patches of fills are by default smaller than the squares of `_keep`."""
    height, width = images.shape[2:]
    return default_patch_size(height, width) < min(height, width) // _BLANK


def _keep_fine(images: Tensor) -> Tensor:
    """1, and 0 in a quarter of the patches of each image (N, 1, H, W)."""
    height, width = images.shape[2:]
    size = default_patch_size(height, width)
    patches = math.prod(grid_shape(height, width, size))
    drawn = torch.rand((len(images), patches), generator=torch.Generator().manual_seed(_SEED))
    last = drawn.kthvalue(max(1, round(_FINE_RATIO * patches)), keepdim=True).values
    return to_pixels((drawn > last).float(), height, width, size).to(images)


def _directions(count: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Directions (count, C, H, W) with the mean square 1, or less if they were cut at 2."""
    signs = torch.randint(0, 2, (count // 2, *shape), generator=generator).float() * 2 - 1
    coarse = torch.randn((count - len(signs), shape[0], _COARSE, _COARSE), generator=generator)
    smooth = functional.interpolate(coarse, shape[1:], mode="bilinear")
    smooth = smooth / smooth.square().mean((1, 2, 3), keepdim=True).sqrt()
    return torch.stack([signs, smooth], 1).flatten(0, 1).clamp(-_FAR, _FAR)


def _logits(classifier: Classifier, images: Tensor, rows: int) -> Tensor:
    return torch.cat([classifier(one).double() for one in images.split(max(rows, 1))])


def _gradients(classifier: Classifier, images: Tensor, weights: Tensor, rows: int) -> Tensor:
    """Gradients (T, N, C, H, W) of T sums of logits with `weights` (T, N, K), float64."""
    found = []
    for each in weights:
        pieces = zip(images.split(max(rows, 1)), each.split(max(rows, 1)), strict=True)
        for piece, wanted in pieces:
            with torch.inference_mode(False), torch.enable_grad():
                leaf = piece.clone().requires_grad_(True)
                total = (classifier(leaf).double() * wanted.clone()).sum()
                (gradient,) = torch.autograd.grad(total, leaf)
            found.append(gradient.double())
    return torch.cat(found).reshape(len(weights), *images.shape)
