"""The size of a Parquet table in memory, which a small file may claim to be large."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from audits.errors import AuditError

_MOST_ROWS = 10_000_000
_RATIO, _FREE = 8, 256 << 20  # eight times the file, and 256 MiB
_AT_ONCE = 512  # rows


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
    try:
        fits = _fits(file, most, texts)
    except OSError:  # so Arrow says that it cannot do this for some encodings
        fits = _fits(file, most, [])
    if not fits:
        raise AuditError(
            f"Expected a table of at most {most >> 20:,} MiB in memory, {_RATIO} times its file "
            f"and {_FREE >> 20} MiB, got more in {file}. Write it without repeated values."
        )


def _fits(file: Path, most: int, texts: list[str]) -> bool:
    """Whether the values of a table are no more than `most` bytes. `texts` are columns of texts."""
    size = 0
    for batch in parquet.ParquetFile(file, read_dictionary=texts).iter_batches(_AT_ONCE):
        size += sum(map(_bytes, batch.columns))
        if size > most:
            return False
    return True


def _bytes(array: Any) -> int:
    """The bytes of an array's values, each counted as often as it is there."""
    if pa.types.is_struct(array.type):
        return sum(map(_bytes, array.flatten()))
    if pa.types.is_map(array.type):
        return _bytes(array.keys) + _bytes(array.items)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return int(array.nbytes) + _bytes(array.flatten())
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    lengths = pc.binary_length(array.dictionary)
    return int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
