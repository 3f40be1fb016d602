"""Tables of figures in Parquet, of which only numbers, texts and the index are read.

The metadata that pandas writes into a file name types as well, of which NumPy and pandas evaluate
parts as Python literals. They are not asked.
"""

import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

_PLAIN = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null),
    *(pa.types.is_string, pa.types.is_large_string),
)
_UNNAMED = "__index_level_"  # how pandas calls a column of an index without a name


def read_plain(data: bytes) -> pd.DataFrame:
    """The table of a Parquet file that pandas wrote, with its index.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    try:
        table = parquet.read_table(io.BytesIO(data))
        for column in table.schema:
            if not any(is_plain(column.type) for is_plain in _PLAIN):
                raise ValueError(f"expected columns of numbers and texts, got {column.type}")
        frame = table.to_pandas(ignore_metadata=True)
        metadata = json.loads((table.schema.metadata or {})[b"pandas"])
        return _with_index(frame, metadata["index_columns"])
    except (pa.ArrowException, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _with_index(frame: pd.DataFrame, index: Any) -> pd.DataFrame:
    match index:
        case [str(name)]:
            frame = frame.set_index(name)
            return frame.rename_axis(None) if name.startswith(_UNNAMED) else frame
        case [{"name": (str() | None) as name, "start": int(), "stop": int(), "step": int()}]:
            start, stop, step = (index[0][bound] for bound in ("start", "stop", "step"))
            return frame.set_axis(pd.RangeIndex(start, stop, step, name=name), axis=0)
    raise ValueError(f"expected one index of the rows, got {index!r:.80}")
