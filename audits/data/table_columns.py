"""TableColumns: the columns of a data set's table, such as camera or site, as text for slices."""

import difflib
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from audits.errors import AuditError, few, quoted

_NEAREST = 3


def _nothing(name: str) -> Sequence[object]:
    raise KeyError(name)


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table with a row for each image; a column is read if somebody asks for it.

    `read(name)` gives the values of all rows of the table. `rows` are those of the images, in their
    order, int64 (N,); None for all.
    """

    names: tuple[str, ...] = ()
    read: Callable[[str], Sequence[object]] = _nothing
    rows: np.ndarray | None = None
    _known: dict[str, tuple[str | None, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def part(self, chosen: Sequence[int] | np.ndarray) -> "TableColumns":
        """The columns of the images at the indices `chosen`, (n,)."""
        rows = np.asarray(chosen, dtype=np.int64)
        return TableColumns(self.names, self.read, rows if self.rows is None else self.rows[rows])

    def values(self, name: str, place: str) -> tuple[str | None, ...]:
        """The values of a column as text, one for each image; None for a value that is missing.

        Missing are empty text, null and NaN. Raises AuditError, with the nearest names, if there is
        no such column at `place`, which is for the message.
        """
        if name not in self._known:
            self._expect(name, place)
            found = self.read(name)
            rows = range(len(found)) if self.rows is None else self.rows.tolist()
            self._known[name] = tuple(_text(found[row]) for row in rows)
        return self._known[name]

    def _expect(self, name: str, place: str) -> None:
        if not self.names:
            raise AuditError(
                f"Expected a table with a column {quoted(name)} in {place}, got images without a "
                "table. Name one by data.kind: csv, table or huggingface."
            )
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, n=_NEAREST, cutoff=0.5)
            told = (
                f"Did you mean {' or '.join(quoted(one) for one in near)}?"
                if near
                else f"Its columns: {few(self.names)}."
            )
            raise AuditError(f"Expected a column {quoted(name)} in {place}, found none. {told}")


def expect_different_names(csv: Path) -> None:
    """Raises AuditError if two columns of a table have one name, of which pandas would rename one.

    Raises what pandas raises for a file that is no CSV in UTF-8.
    """
    header = pd.read_csv(
        csv, header=None, nrows=1, dtype=str, keep_default_na=False, compression=None
    )
    ((name, times),) = Counter(header.iloc[0]).most_common(1)
    if times > 1:
        raise AuditError(
            f"Expected columns with different names in {csv}, got {quoted(name)} twice. Rename one."
        )


def digest(columns: Sequence[tuple[str | None, ...]]) -> str:
    """sha256 of the values of columns, in their order."""
    return hashlib.sha256(repr(list(columns)).encode("utf-8", "backslashreplace")).hexdigest()


def _text(value: object) -> str | None:
    """The value as text; None if it is missing. Whole floats are told as whole numbers.

    A Parquet column of whole numbers of which some are missing is read as floats.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() else str(number)
    text = str(value)
    return text if text.strip() else None
