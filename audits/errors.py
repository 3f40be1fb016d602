"""Errors whose messages are for the person who runs the audit, and how they echo values.

This module keeps every line of a message to a readable length, whatever values it echoes.
"""

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 400  # characters of a message
_LONGEST_VALUE = 60  # characters of an echoed value
_NAMED = 5  # items of an echoed list
_MISTAKES = 10  # lines of one error
_USER = re.compile(r"//[^/\s@]*(?:@[^/\s@]*)*@")  # user and password of an address


class AuditError(ValueError):
    """Bad input. The message says which input was expected, which came, and how to mend it.

    The message is one line of 400 characters at most: a longer one loses its middle. Several
    mistakes get a line each, and no more than ten are told.
    """

    def __init__(self, *mistakes: object):
        told = len(mistakes) if len(mistakes) <= _MISTAKES else _MISTAKES - 1
        lines = [shortened(mistake, _LONGEST) for mistake in mistakes[:told]]
        if left := len(mistakes) - told:
            lines.append(f"... and {left} mistakes more")
        super().__init__(*lines)  # one argument a line: with them a copy in a process is made

    def __str__(self) -> str:
        return "\n".join(self.args)


class ModelRefused(AuditError):
    """The model must not or cannot be audited; the reason is recorded with an undecided verdict."""


class Contradicted(ModelRefused):
    """The model answered one question in two ways, or changed while it was asked.

    Which questions are asked twice is drawn by chance, so that another audit of the same files may
    not find it again: store and MLflow remember it.
    """


class NotApplicable(AuditError):
    """A check cannot be applied to this model or data. The check never counts as passed."""


def shortened(value: object, longest: int = _LONGEST_VALUE) -> str:
    """`str(value)` on one line, without its middle if it has more than `longest` characters."""
    line = one_line(value)
    if len(line) <= longest:
        return line
    kept = longest - len(" ... ")
    end = kept * 2 // 5
    return f"{line[: kept - end].rstrip()} ... {line[len(line) - end :].lstrip()}"


def one_line(value: object) -> str:
    """`str(value)` on one line, without control characters, which a terminal would obey.

    Addresses lose user and password: packages of others tell them in their errors.
    """
    shown = (c if c.isprintable() else " " for c in str(value))
    return _USER.sub("//", " ".join("".join(shown).split()))


def seen(text: str) -> str:
    """The text without marks that nobody sees, such as soft hyphens and joiners."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def quoted(value: object) -> str:
    """`repr(value)` on one line, shortened to 60 characters."""
    return shortened(repr(value))


def few(items: Iterable[object]) -> str:
    """The first five items, each shortened, with commas between, and "..." for the others."""
    given = list(items)
    shown = ", ".join(shortened(item) for item in given[:_NAMED])
    return shown + (", ..." if len(given) > _NAMED else "")
