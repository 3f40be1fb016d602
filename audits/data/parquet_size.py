"""The size of a Parquet table in memory, which a small file may claim to be large."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from audits.errors import AuditError

_MOST_ROWS = 10_000_000
_RATIO, _FREE = 8, 1 << 30  # eight times the file, and 1 GiB
_AT_ONCE = 16  # rows, of texts that cannot be read without repeating them
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
_LISTS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view),
)


def expect_bounded(file: Path) -> None:
    """Raises AuditError for a table that takes far more memory than its file.

    A value that repeats stands in the file once. So texts are counted here without repeating them.
    Raises errors of Arrow for a file that is no table.
    """
    facts = parquet.read_metadata(file)
    if facts.num_rows > _MOST_ROWS:
        raise AuditError(
            f"Expected a table of at most {_MOST_ROWS:,} rows, got {facts.num_rows:,} in {file}. "
            "Split it."
        )
    leaves = [facts.schema.column(i) for i in range(facts.num_columns)]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == _TEXT]
    most = _RATIO * file.stat().st_size + _FREE
    size = sum(_of_numbers(facts.row_group(i), leaves) for i in range(facts.num_row_groups))
    if size > most or not _fits(file, most - size, texts):
        raise AuditError(
            f"Expected a table of at most {most >> 20:,} MiB in memory, {_RATIO} times its file "
            f"and {_FREE >> 20:,} MiB, got more in {file}. Leave columns out, or split it."
        )


def _of_numbers(group: Any, leaves: list[Any]) -> int:
    """The bytes of a row group's columns of numbers and of values of one length."""
    columns = [(group.column(i).num_values, leaf) for i, leaf in enumerate(leaves)]
    widths = {**_WIDTHS, _TEXT: 0}
    return sum(
        count * (leaf.length if leaf.physical_type == _FIXED else widths[leaf.physical_type])
        for count, leaf in columns
    )


def _fits(file: Path, most: int, texts: list[str]) -> bool:
    """Whether the values of the columns `texts` are no more than `most` bytes."""
    if not texts:
        return True
    try:
        return _within(most, _without_repeats(file, texts))
    except OSError:  # so Arrow says that it cannot do this for some encodings
        batches = parquet.ParquetFile(file).iter_batches(_AT_ONCE, columns=texts)
        return _within(most, (batch.nbytes for batch in batches))


def _within(most: int, sizes: Iterable[int]) -> bool:
    """Whether the sum of `sizes` is no more than `most`; no more are asked for than show it."""
    return all(total <= most for total in accumulate(sizes))


def _without_repeats(file: Path, texts: list[str]) -> Iterator[int]:
    """The bytes of each row group's texts, of which each value is read once."""
    opened = parquet.ParquetFile(file, read_dictionary=texts)
    for group in range(opened.num_row_groups):
        table = opened.read_row_group(group, columns=texts)
        yield sum(_bytes(chunk) for column in table.columns for chunk in column.chunks)


def _bytes(array: Any) -> int:
    """The bytes of texts, each counted as often as it is there; numbers beside them are small."""
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(map(_bytes, array.flatten()))
    if pa.types.is_map(kind):
        return _bytes(array.keys) + _bytes(array.items)
    if any(is_kind(kind) for is_kind in _LISTS):
        return _bytes(array.flatten())
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        return int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
    return int(array.nbytes)
