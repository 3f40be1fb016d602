"""Tables as CSV, in which a spreadsheet finds no formula."""

import re

import pandas as pd

# The characters with which a formula begins, behind whatever some spreadsheet takes for the end of
# a cell: in many countries that is a semicolon.
_FORMULA = re.compile(r"(^|[;,|\t\r\n])(\s*[\"']?)(?=[=+\-@\t\r])")
_LINE_END = "\r\n"  # RFC 4180's; a text that holds either is then between quotes


def as_csv(table: pd.DataFrame) -> bytes:
    """The table without its index. Whatever begins as a formula gets an apostrophe before it."""
    safe = table.map(_as_text).rename(columns=_as_text)
    return safe.to_csv(index=False, lineterminator=_LINE_END).encode()


def _as_text(value: object) -> object:
    return _FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else value
