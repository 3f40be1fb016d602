"""How checks make the map of an image: the method, and its parameters."""

from typing import Literal, NamedTuple

from torch import Tensor

from fillblanks.attribution.asking import Probabilities, blurred
from fillblanks.attribution.blank_difference import blank_difference
from fillblanks.attribution.occlusion import occlusion
from fillblanks.attribution.pami import disc_count, discs, pami
from fillblanks.attribution.sobol import MOST_PATCHES, designs, sobol
from fillblanks.attribution.windows import window_places
from fillblanks.masks import blank_count, grid_shape

MethodName = Literal["blank_difference", "occlusion", "pami", "sobol"]
Baseline = Literal["black", "blurred"]
BASELINES: tuple[Baseline, ...] = ("black", "blurred")
UNSIGNED: tuple[MethodName, ...] = ("pami", "sobol")
"""Methods whose maps have no sign: they do not tell what speaks against a class."""

DRAWS: dict[MethodName, int] = {"blank_difference": 512, "sobol": 16}
"""The methods that draw, and how often by default."""

_SMALL = 64  # pixels of the shorter side up to which patches are an eighth of it
_SIDES, _LARGE_SIDES = 8, 4  # patches of the shorter side
USUAL_PATCHES = _SIDES**2
"""Patches of a square image by default, at most; a unit knows its own number."""


def eighth(shape: tuple[int, int, int]) -> int:
    """An eighth of the shorter side of images (C, H, W), in pixels."""
    return -(-min(shape[1:]) // _SIDES)


def default_patch(shape: tuple[int, int, int]) -> int:
    """An eighth of the shorter side; of more than 64 pixels a quarter.

    Networks hardly know large images that are covered with many small blanks.
    """
    side = min(shape[1:])
    return eighth(shape) if side <= _SMALL else -(-side // _LARGE_SIDES)


def baseline_of(name: Baseline, images: Tensor) -> Tensor | None:
    """What stands where images (n, C, H, W) are hidden; None for black."""
    return None if name == "black" else blurred(images)


class Method(NamedTuple):
    """A method with its parameters; of draws, ratio, radius and stride it takes its own."""

    name: MethodName
    patch_size: int  # pixels
    draws: int
    mask_ratio: float
    radius: float  # of the shorter side
    stride: float
    baseline: Baseline

    def maps(
        self,
        ask: Probabilities,
        images: Tensor,
        labels: Tensor,
        *,
        seed: int,
        indices: Tensor,
        chunk: int,
    ) -> Tensor:
        """The map of each image for its label, float64 (n, H, W)."""
        behind = baseline_of(self.baseline, images)
        if self.name == "occlusion":
            return occlusion(
                ask,
                images,
                labels,
                size=self._window(*images.shape[2:]),
                stride=self.patch_size,
                baseline=behind,
                chunk=chunk,
            )
        if self.name == "pami":
            return pami(
                ask,
                images,
                labels,
                radius=self.radius,
                stride=self.stride,
                baseline=behind,
                chunk=chunk,
            )
        if self.name == "sobol":
            return sobol(
                ask,
                images,
                labels,
                patch_size=self.patch_size,
                draws=self.draws,
                seed=seed,
                indices=indices,
                baseline=behind,
                chunk=chunk,
            )
        return blank_difference(
            ask,
            images,
            labels,
            patch_size=self.patch_size,
            draws=self.draws,
            mask_ratio=self.mask_ratio,
            seed=seed,
            indices=indices,
            baseline=behind,
            chunk=chunk,
        )

    def passes(self, height: int, width: int) -> int:
        """The number of passes for the map of one image."""
        if self.name == "occlusion":
            window = self._window(height, width)
            return 1 + len(window_places(height, width, window, self.patch_size))
        if self.name == "pami":
            return disc_count(height, width, self.stride)
        if self.name == "sobol":
            return self.draws * (1 + self.patches(height, width))
        return self.draws

    def patches(self, height: int, width: int) -> int:
        """How many patches an image has."""
        rows, columns = grid_shape(height, width, self.patch_size)
        return rows * columns

    def expect(self, height: int, width: int) -> None:
        """Raises ValueError if there are no such maps of images of this size."""
        patches = self.patches(height, width)
        blank_count(self.mask_ratio, patches)
        if self.name == "pami":
            discs(height, width, self.radius, self.stride)
        if self.name == "sobol":
            if patches > MOST_PATCHES:
                raise ValueError(
                    f"Expected at most {MOST_PATCHES} patches for sobol, got {patches}. Take a "
                    "larger patch_size."
                )
            designs(self.draws, 1, 0)

    def _window(self, height: int, width: int) -> int:
        """Windows of `occlusion` overlap by half."""
        return min(2 * self.patch_size, height, width)
