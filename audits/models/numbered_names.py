"""Reads the numbers in class names such as LABEL_0, LABEL_1, or `three`."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# LABEL_1, digit 1, No. 1, 1.0, 1st, and 1 - one, as torchvision calls MNIST's classes
_NUMBERED = re.compile(r"(\D*)(\d{1,9})(?:\.0+)?(\D*)")
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


_NUMBER = re.compile(r"(\d{1,9})(?:\.0+)?|[^\W\d_]+")
_LEAST = 1 / 2  # the share of names that must have a number


def numbered(names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of names such as LABEL_0, LABEL_1; empty if they are of another form.

    Each has a number of its own (of any script), before which all have the same text, or is an
    English number to ten.
    """
    words = [_plain(name) for name in names]
    if set(words) <= set(_WORDS) and len(set(words)) == len(words):
        return tuple(map(_WORDS.index, words))
    found = [_NUMBERED.fullmatch(word) for word in words]
    if not all(found) or len({one[1].rstrip() for one in found if one}) != 1:
        return ()
    numbers = tuple(int(one[2]) for one in found if one)
    return numbers if len(set(numbers)) == len(numbers) else ()


def numbers_in(names: Sequence[str]) -> tuple[int | None, ...]:
    """The one number in each name, in digits or as an English word to ten; None without one.

    Empty if fewer than half of the names have one, or two have the same. A number that stands in
    all names counts for none.
    """
    found = [_numbers_of(_plain(name)) for name in names]
    everywhere = set.intersection(*found) if len(found) > 1 else set()
    own = [numbers - everywhere for numbers in found]
    numbers = tuple(one.pop() if len(one) == 1 else None for one in own)
    counts = Counter(number for number in numbers if number is not None)
    if sum(counts.values()) < len(names) * _LEAST or set(counts.values()) != {1}:
        return ()
    return numbers


def _numbers_of(name: str) -> set[int]:
    found = set()
    for one in _NUMBER.finditer(name):
        if one[1]:
            found.add(int(one[1]))
        elif one[0] in _WORDS:
            found.add(_WORDS.index(one[0]))
    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
