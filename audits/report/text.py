"""Text of others on a page: control characters are shown, and long names lose their middle."""

import re
import unicodedata

from markupsafe import Markup

_JOINERS = "\u200c\u200d"  # several scripts and emoji need them
_HIDDEN = ("Cc", "Cf", "Cs")  # control characters, invisible ones, halves of surrogate pairs


def visible(text: str) -> str:
    r"""The text with every character that hides, or turns the direction, as an escape: `\u202e`."""
    return "".join(
        f"\\u{ord(c):04x}"
        if c not in _JOINERS and c not in "\n\t" and unicodedata.category(c) in _HIDDEN
        else c
        for c in text
    )


def finalized(value: object) -> object:
    """What a template puts out for a value: markup as it is, all other text `visible`."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def middle(text: str, longest: int) -> str:
    """The text on one line; "…" stands for its middle if it has more characters than `longest`."""
    line = " ".join(visible(text).split())
    if len(line) <= longest:
        return line
    end = (longest - 1) * 2 // 5
    return f"{line[: longest - 1 - end]}…{line[len(line) - end :]}"


def together(text: str) -> str:
    """The text with no break of line between a number and its unit."""
    return re.sub(r"(?<=\d) (?=%|points?\b)", "\u00a0", text)
