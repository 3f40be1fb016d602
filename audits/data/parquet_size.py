"""The size of a Parquet table in memory, which a small file may claim to be large."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from audits.errors import AuditError

_MOST_ROWS = 10_000_000
_RATIO, _FREE = 8, 1 << 30  # eight times the file, and 1 GiB
_AT_ONCE, _BATCH = (
    512,
    256 << 20,
)  # rows of a batch, and its bytes if no value is larger than a page
_AT_ONCE_ENCODED = 16
_LISTS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view),
)
_PLAIN = (
    *(pa.types.is_primitive, pa.types.is_null, pa.types.is_decimal, pa.types.is_string),
    *(pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary),
    *(pa.types.is_fixed_size_binary, pa.types.is_string_view, pa.types.is_binary_view),
)


def expect_bounded(file: Path) -> None:
    """Raises AuditError for a table that takes far more memory than its file.

    A value that repeats stands in the file once. So texts are counted here without repeating them.
    Raises errors of Arrow for a file that is no table.
    """
    opened = parquet.ParquetFile(file)
    rows, columns = opened.metadata.num_rows, opened.metadata.num_columns
    if rows > _MOST_ROWS:
        raise AuditError(
            f"Expected a table of at most {_MOST_ROWS:,} rows, got {rows:,} in {file}. Split it."
        )
    leaves = [opened.metadata.schema.column(i) for i in range(columns)]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    most = _RATIO * file.stat().st_size + _FREE
    groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
    pages = [group.column(i).total_uncompressed_size for group in groups for i in range(columns)]
    at_once = max(1, min(_AT_ONCE, _BATCH // max([1, *pages])))
    try:
        fits = _fits(file, most, texts, at_once)
    except OSError:  # so Arrow says that it cannot do this for some encodings
        fits = _fits(file, most, [], min(at_once, _AT_ONCE_ENCODED))
    if not fits:
        raise AuditError(
            f"Expected a table of at most {most >> 20:,} MiB in memory, {_RATIO} times its file "
            f"and {_FREE >> 20:,} MiB, got more in {file}. Leave columns out, or split it."
        )


def _fits(file: Path, most: int, texts: list[str], rows: int) -> bool:
    """Whether the values of a table, so many rows at a time, are no more than `most` bytes.

    Values of the columns `texts` are not repeated.
    """
    size = 0
    for batch in parquet.ParquetFile(file, read_dictionary=texts).iter_batches(rows):
        size += sum(map(_bytes, batch.columns))
        if size > most:
            return False
    return True


def _bytes(array: Any) -> int:
    """The bytes of an array's values, each counted as often as it is there. Raises AuditError."""
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(map(_bytes, array.flatten()))
    if pa.types.is_map(kind):
        return _bytes(array.keys) + _bytes(array.items)
    if any(is_kind(kind) for is_kind in _LISTS):
        return int(array.nbytes) + _bytes(array.flatten())
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        return int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
    if not any(is_kind(kind) for is_kind in _PLAIN):
        raise AuditError(f"Expected columns of plain values or lists of them, got {kind}.")
    return int(array.nbytes)
