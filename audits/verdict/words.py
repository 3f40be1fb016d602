"""The words of a verdict. Light: lists of audits need no torch."""

from typing import Literal

Word = Literal["passed", "failed", "undecided"]


def told(word: str, not_covered: str | None) -> str:
    """The word of a verdict for people; of a `passed` also whether it covers only a part."""
    return f"{word}, in part" if word == "passed" and not_covered else word
