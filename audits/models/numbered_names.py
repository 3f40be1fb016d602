"""Reads the numbers in class names such as LABEL_0, LABEL_1, or `three`."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from audits.errors import seen

# LABEL_1, digit 1, No. 1, 1.0, 1st, and 1 - one, as torchvision calls MNIST's classes
_NUMBERED = re.compile(r"(\D*)(\d{1,9})(?:\.0+)?(\D*)")
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_ORDINALS = ["zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh"]
_ORDINALS += ["eighth", "ninth", "tenth"]
_SPELT = {  # also plurals: ones, sixes
    word + ending: number
    for words in (_WORDS, _ORDINALS)
    for number, word in enumerate(words)
    for ending in ("", "s", "es")
}
_NUMBER = re.compile(r"(\d{1,9})(?:\.0+)?|[^\W\d_]+")  # or a word
_LEAST = 1 / 2  # the share of names that must have a number
_MOST = 8  # numbers of a name

Numbers = tuple[int | None, ...]
"""A number of each name; None for a name without one."""


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


def numbers_in(names: Sequence[str], most: int | None = None) -> list[Numbers]:
    """The first number of each name, the second one, and so on.

    Numbers are in digits, or English words to ten ("three", "third"). Left out are numbers above
    `most`, and places of which fewer than half of the names have a number, or two have the same.
    """
    found = [_numbers_of(_plain(name)) for name in names]
    kept = []
    for place in range(max(map(len, found), default=0)):
        numbers = tuple(one[place] if place < len(one) else None for one in found)
        numbers = tuple(n if n is None or most is None or n <= most else None for n in numbers)
        counts = Counter(n for n in numbers if n is not None)
        if sum(counts.values()) >= len(names) * _LEAST and set(counts.values()) == {1}:
            kept.append(numbers)
    return kept


def _numbers_of(name: str) -> list[int]:
    found = []
    for one in _NUMBER.finditer(name):
        if one[1]:
            found.append(int(one[1]))
        elif one[0] in _SPELT:
            found.append(_SPELT[one[0]])
    return found[:_MOST]


def _plain(name: str) -> str:
    """The name as people see it."""
    return seen(unicodedata.normalize("NFKC", name)).strip().casefold()
