"""Tables of figures are read without the types that pandas' metadata name."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from audits.evidence.plain_parquet import read_plain

TABLE = pd.DataFrame({"a/x": [0.5, np.nan], "a/y": [True, False], "b/z": ["é", None], "n": [1, 2]})


def _written(table, metadata=None):
    """The bytes of a table, with other metadata of pandas."""
    table = pa.Table.from_pandas(table) if isinstance(table, pd.DataFrame) else table
    if metadata is not None:
        table = table.replace_schema_metadata({"pandas": json.dumps(metadata)})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        TABLE.set_axis([7, 3]),
        TABLE.set_axis(["p", "q"]),
        TABLE.set_index("n"),
        TABLE.set_index("n").iloc[[1, 1, 0]],
        TABLE.iloc[::-1],
        TABLE.iloc[:0],
    ],
)
def test_a_table_that_pandas_wrote_comes_back(table):
    pd.testing.assert_frame_equal(read_plain(table.to_parquet()), table)


@pytest.mark.parametrize(
    "dtype", ["1 1f4", "Sparse[1 1f4]", "interval[1 1f4]", "decimal128(1)[pyarrow]"]
)
def test_no_type_of_the_metadata_is_looked_at(dtype):
    metadata = json.loads(pa.Table.from_pandas(TABLE).schema.metadata[b"pandas"])
    for column in (*metadata["columns"], *metadata["column_indexes"]):
        column["numpy_type"] = column["pandas_type"] = dtype
    metadata["column_indexes"] *= 2  # of which pandas evaluates the names of columns
    data = _written(TABLE, metadata)
    with pytest.raises((SyntaxError, NotImplementedError, ValueError)):
        pd.read_parquet(io.BytesIO(data))
    pd.testing.assert_frame_equal(read_plain(data), TABLE)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([], "expected one index"),
        ("n", "expected one index"),
        (["none"], "none"),
        (["n", "a/x"], "expected one index"),
        ([{"name": None, "start": 0, "stop": 3, "step": 1}], "[Ll]ength"),
        ([{"name": None, "start": 0, "stop": 10**30, "step": 1}], "[Ll]ength|Overflow|large"),
        ([{"name": None, "start": 0, "stop": 2, "step": 0}], "zero"),
        ([{"name": None, "start": "0", "stop": 2, "step": 1}], "expected one index"),
    ],
)
def test_an_index_that_pandas_never_writes_is_refused(index, message):
    with pytest.raises((KeyError, ValueError), match=message):
        read_plain(_written(TABLE, {"index_columns": index}))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], [2]]),
        pa.array([b"a", b"b"]),
        pa.array([1, 2], pa.timestamp("s", "1 1f4")),
        pa.array(["a", "b"]).dictionary_encode(),
    ],
)
def test_a_column_of_anything_but_numbers_and_texts_is_refused(column):
    with pytest.raises(ValueError, match="expected columns of numbers and texts"):
        read_plain(_written(pa.table({"a": column}), {"index_columns": []}))


def test_a_file_without_metadata_or_of_something_else_is_refused():
    with pytest.raises(KeyError, match="pandas"):
        read_plain(_written(pa.table({"a": [1]})))
    with pytest.raises(ValueError, match="Parquet"):
        read_plain(b"hello")
