"""A window, or the colour, of one image in another."""

from torch import Tensor

from fillblanks.attribution.windows import inside


def with_windows(recipients: Tensor, donors: Tensor, places: Tensor, size: int) -> Tensor:
    """`recipients` with a window of `donors` at its own place, float (n, C, H, W).

    Both are (n, C, H, W); `places`, int64 (n, 2), are the top left pixels of the windows, which are
    `size` pixels wide and high.
    """
    return donors.where(inside(recipients.shape[2], recipients.shape[3], places, size), recipients)


def with_colours(recipients: Tensor, donors: Tensor) -> Tensor:
    """`recipients` whose channels have the means of those of `donors`, float (n, C, H, W).

    Both are (n, C, H, W) in [0, 1]. Values that leave [0, 1] are cut, so the means of an image with
    much black or white come near those of the donor without reaching them.
    """
    moved = donors.mean((2, 3), keepdim=True) - recipients.mean((2, 3), keepdim=True)
    return (recipients + moved).clamp(0, 1)
