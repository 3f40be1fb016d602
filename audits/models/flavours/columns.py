"""Models whose signature is a table of pixel columns, as a data frame has them."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from mlflow.models import Model
from mlflow.types import DataType

from audits.errors import ModelRefused, quoted
from audits.models.contract import Said

SOURCE = "the columns of the signature"
_NUMBERED = re.compile(r"([^\W\d_]*)_?([0-9]+)")
_NUMBER = re.compile(r"[0-9]+")
_DIGITS = 9  # of a number; pixels need no more
_OF_ROWS = ("y", "r", "row", "h", "height", "i")
_OF_COLUMNS = ("x", "c", "col", "column", "w", "width", "j")
_DTYPES = {
    DataType.integer: np.int32,
    DataType.long: np.int64,
    DataType.float: np.float32,
    DataType.double: np.float64,
}
_OF_ROWS_SERVED = frozenset({"dtype", "layout"})
_WHOLE = {DataType.integer, DataType.long}


def said_by_columns(conf: Model) -> Said:
    """Rows of pixels if the signature has a square number of numeric columns, else nothing.

    Columns of whole numbers, for which MLflow's server takes no others, are pixels of 8 bits.
    Raises ModelRefused if the columns are no pixels: text, as of paths, or bytes.
    """
    columns = _columns(conf)
    if not columns:
        return Said(SOURCE, {})
    side = round(len(columns) ** 0.5)
    types = {column.type for column in columns}
    if not types <= _DTYPES.keys() or side * side != len(columns):
        kinds = ", ".join(sorted(str(getattr(kind, "name", kind)) for kind in types))
        raise ModelRefused(
            f"Expected a model of image tensors, or of one numeric column for each pixel of a "
            f"square grey image; got {len(columns)} column(s) of {kinds[:40]}. Log the network "
            "that is inside with its own flavour, or a model that takes image tensors."
        )
    said = {"layout": "flat", "channels": 1, "height": side, "width": side}
    return Said(SOURCE, {**said, "dtype": "uint8"} if types & _WHOLE else said)


def said_by_served_columns(conf: Model) -> Said:
    """As `said_by_columns`, for a network, which MLflow's server gives rows of float32.

    No client can normalise pixels for columns of whole numbers.
    """
    said = said_by_columns(conf)
    if not said.values:
        return said
    if said.values.get("dtype") is None:
        return Said(SOURCE, {**said.values, "dtype": "float32"}, _OF_ROWS_SERVED)
    values = {**said.values, "dtype": "float32", "range": "0-255", "mean": (0.0,), "std": (1.0,)}
    return Said(SOURCE, values, _OF_ROWS_SERVED | {"range", "mean", "std"})


def expect_no_columns(conf: Model) -> None:
    """Raises ModelRefused if the server of an ONNX graph of logits would be asked for a data frame.

    It then puts all numbers of an output into one column.
    """
    if columns := _columns(conf):
        raise ModelRefused(
            f"Expected a signature of an image tensor for an ONNX graph, got {len(columns)} "
            "columns: MLflow's server would answer them with one number in each row. Log the "
            "model with a signature of a tensor."
        )


def expect_in_order(conf: Model) -> None:
    """Raises ModelRefused unless the names of columns differ by numbers alone, which rise.

    MLflow's server puts the columns of a data frame into the order of the signature by their names,
    and names such as A, B, C do not tell to which pixels they belong.
    """
    named = [str(column.name) for column in _columns(conf) if column.name is not None]
    for name, following in pairwise(named):
        alike = re.sub(_NUMBER, "0", name) == re.sub(_NUMBER, "0", following)
        if not (alike and _place(name) < _place(following)):
            raise ModelRefused(
                f"Expected columns of the signature that are numbered in the order of their "
                f"pixels, row by row (pixel0, pixel1, ...), got {quoted(name)} before "
                f"{quoted(following)}. Log the model with a signature of such columns."
            )


def _place(name: str) -> tuple[int, ...]:
    """The numbers in a column's name, a row before a column; none if nobody knows which is which.

    Two numbers are a row and a column if letters say so, or if no letters are between them but an
    x ("28x28").
    """
    found = [(one.casefold(), int(digits[-_DIGITS:])) for one, digits in _NUMBERED.findall(name)]
    letters, numbers = tuple(zip(*found, strict=True)) or ((), ())
    if len(found) != 2 or letters[1] == "" or letters == ("", "x"):
        return numbers
    for rows, columns, placed in (
        (letters[0], letters[1], numbers),
        (letters[1], letters[0], numbers[::-1]),
    ):
        if rows in _OF_ROWS and columns in _OF_COLUMNS:
            return placed
    return ()


def as_asked(conf: Model) -> Callable[[np.ndarray], Any]:
    """A function that makes of rows (N, D) the table that the signature asks for.

    Without columns in the signature it leaves arrays as they are.
    """
    columns = _columns(conf)
    if not columns:
        return lambda rows: rows

    def frame(rows: np.ndarray) -> Any:
        import pandas as pd

        table = {}
        for at, column in enumerate(columns):
            dtype = np.dtype(_DTYPES[column.type])
            values = np.rint(rows[:, at]) if dtype.kind == "i" else rows[:, at]
            table[column.name or at] = values.astype(dtype)
        return pd.DataFrame(table)

    return frame


def _columns(conf: Model) -> list[Any]:
    inputs = conf.signature.inputs if conf.signature else None
    return [] if inputs is None or inputs.is_tensor_spec() else list(inputs.inputs)
