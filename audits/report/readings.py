"""How a network has read a picture, in words: "reference: espresso .84, right"."""

from collections.abc import Sequence
from typing import NamedTuple

from audits.evidence.evidence import Seen
from audits.report.text import middle

_FEW = 5  # guesses that are told if the first is wrong


class Reading(NamedTuple):
    """What a network has read in a picture, and whether it is the class that the picture is of."""

    reader: str  # "reference", or "model"
    read: str  # "espresso .84", the class with its probability if that is known
    right: bool
    outcome: str  # "right", "wrong", or "wrong, 2nd guess" if the class was among the first five

    @property
    def told(self) -> str:
        """All of it on one line."""
        return f"{self.reader}: {self.read}, {self.outcome}"


def reading_of(
    seen: Seen | None, classes: Sequence[str], longest: int | None = None
) -> Reading | None:
    """The reading of a picture; None if nobody was asked.

    A name of more than `longest` characters loses its middle.
    """
    if seen is None or seen.read_as is None or seen.missing:
        return None
    name = class_name(seen.read_as, classes)
    right = seen.read_as == seen.label
    near = not right and seen.place is not None and 1 < seen.place <= _FEW
    return Reading(
        seen.reader,
        f"{name if longest is None else middle(name, longest)}{probability_of(seen)}",
        right,
        "right" if right else f"wrong, {_ordinal(seen.place)} guess" if near else "wrong",
    )


def probability_of(seen: Seen) -> str:
    """The probability of the class that was read, with a space before it: " .84"; "" if unknown."""
    return "" if seen.probability is None else f" {seen.probability:.2f}".replace(" 0.", " .")


def class_name(label: int, classes: Sequence[str]) -> str:
    """The name of a class; a number without a name is told as one, -1 as no class."""
    if label < 0:
        return "no class"
    return classes[label] if label < len(classes) else f"class {label}"


def _ordinal(place: int | None) -> str:
    return {2: "2nd", 3: "3rd"}.get(place or 0, f"{place}th")
