"""Tables as CSV, in which a spreadsheet finds no formula."""

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run
_LINE_END = "\r\n"  # RFC 4180's; a text that holds either is then between quotes


def as_csv(table: pd.DataFrame) -> bytes:
    """The table without its index. A text that begins as a formula gets an apostrophe before it."""
    safe = table.map(_as_text).rename(columns=_as_text)
    return safe.to_csv(index=False, lineterminator=_LINE_END).encode()


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
