"""The header of an array in numpy's own format, read without the array."""

from typing import BinaryIO

import numpy as np


def array_header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the npy file that begins here.

    Leaves the stream behind the header. Raises what numpy raises for a damaged one.
    """
    read = np.lib.format.read_array_header_2_0
    if np.lib.format.read_magic(stream) == (1, 0):
        read = np.lib.format.read_array_header_1_0
    shape, _, dtype = read(stream)
    return shape, dtype
