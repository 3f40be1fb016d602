"""Words on pictures: the steps of a check, and how many classes a picture shows."""

from collections.abc import Sequence

STEPS = {
    "masked": "with blanks",
    "prototype": "drawing",
    "composite": "blanks filled",
    "class mean": "whole class",
    "filled 100%": "filled",
    "where this model looks": "this model",
    "where the other version looks": "a version",
    "where the model looks": "the model",
    "where people look": "people",
}
"""Short words for steps, by the captions of the checks that come with the package."""

SIGNS = ("red: brighter", "blue: darker")
"""What the colours of an update stand for."""


def step_word(caption: str) -> str:
    """The short word for a step; its own caption if a check of another package named it."""
    return STEPS.get(caption, caption)


def classes_told(shown: int, classes: Sequence[str], *, ordered: bool = False) -> str:
    """How many classes are shown: "10 of 30 classes, chosen at random".

    With `ordered`, also that those come first that the model draws worst.
    """
    count = max(len(classes), shown)
    told = f"{shown:,} class{'' if shown == 1 else 'es'}"
    if shown < count:
        told = f"{shown:,} of {count:,} classes, chosen at random"
    return f"{told}; those drawn worst first" if ordered and shown > 1 else told
