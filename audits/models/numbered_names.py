"""Reads the numbers in class names such as LABEL_0, LABEL_1, or `three`."""

import re
import unicodedata
from collections.abc import Sequence

# LABEL_1, digit 1, No. 1, 1.0, 1st, and 1 - one, as torchvision calls MNIST's classes
_NUMBERED = re.compile(r"(\D*)(\d{1,9})(?:\.0+)?(\D*)")
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def numbered(names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of names such as LABEL_0, LABEL_1; empty if they are of another form.

    Each has a number of its own (of any script), before which all have the same text, or is an
    English number to ten.
    """
    words = [unicodedata.normalize("NFKC", name).strip().casefold() for name in names]
    if set(words) <= set(_WORDS) and len(set(words)) == len(words):
        return tuple(map(_WORDS.index, words))
    found = [_NUMBERED.fullmatch(word) for word in words]
    if not all(found) or len({one[1].rstrip() for one in found if one}) != 1:
        return ()
    numbers = tuple(int(one[2]) for one in found if one)
    return numbers if len(set(numbers)) == len(numbers) else ()
