"""Recipes: how blanks are filled in many steps, with defaults by the size of images."""

from dataclasses import dataclass

from fillblanks.synthesis.views import Jitter

LARGE = 64  # pixels of the shorter side, above which an image is a photograph of a scene


@dataclass(frozen=True)
class Recipe:
    """All that `complete` leaves open but masks, spectrum and seed.

    The defaults were chosen by an ablation on photographs of 224 pixels, and on MNIST and CIFAR-10
    for small images.
    """

    patch_size: int  # pixels
    mask_ratio: float  # share of the patches that are blank
    steps: int
    rate: float  # learning rate of NAdam
    view: Jitter | None
    noise: float  # standard deviation, in pixel values
    seamless: bool  # whether a fill is shifted smoothly, to meet the visible pixels at the edges
    amplitude: float = 0.05  # |p| at the start

    @classmethod
    def of(
        cls,
        height: int,
        width: int,
        *,
        patch_size: int | None = None,
        mask_ratio: float | None = None,
        steps: int | None = None,
    ) -> "Recipe":
        """The recipe for images of this height and width in pixels, with what is given.

        Raises ValueError if `steps` is below 1.
        """
        steps = 32 if steps is None else steps
        if steps < 1:
            raise ValueError(f"Expected steps >= 1, got {steps}.")
        side = min(height, width)
        large = side > LARGE
        return cls(
            patch_size=patch_size or max(1, side // (8 if large else 4)),
            mask_ratio=(0.75 if large else 0.5) if mask_ratio is None else mask_ratio,
            steps=steps,
            rate=min(0.1, 1.6 / steps),  # .05 with 32 steps
            view=Jitter(side // 28, 0.15) if large else Jitter(max(1, round(side / 16)), 0.0),
            noise=0.03 if large else 0.1,
            seamless=large,
        )
