"""Columns of a signature stand in the order of their pixels, and differ by their numbers alone."""

import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from audits.errors import ModelRefused
from audits.models.flavours.columns import expect_in_order


def _model(names):
    columns = Schema([ColSpec("float", name) for name in names])
    return Model(signature=ModelSignature(inputs=columns))


@pytest.mark.parametrize(
    "names",
    [
        [f"pixel{n}" for n in range(9)],
        [f"r{row}c{column}" for row in range(3) for column in range(12)],
        [f"y{row}_x{column}" for row in range(3) for column in range(12)],
        [f"x{column}_y{row}" for row in range(3) for column in range(12)],
        [f"col{column}row{row}" for row in range(3) for column in range(12)],
        [f"pixel_{row}_{column}" for row in range(3) for column in range(12)],
        [f"{row}x{column}" for row in range(1, 4) for column in range(1, 13)],
        [str(n) for n in range(9)],
        [f"w{column}_h{row}" for row in range(3) for column in range(12)],
        [None, None],
    ],
)
def test_numbers_that_rise_and_columns_without_names_are_taken(names):
    expect_in_order(_model(names))


@pytest.mark.parametrize(
    "names",
    [
        ["p0", "p2", "p1"],
        ["p8", "p7"],
        ["p1", "p1"],
        ["r0c1", "r0c0"],
        ["a2", "b1"],
        ["edge", "p2", "p1"],
        ["x0_y0", "x0_y1", "x1_y0"],
        ["w0_h0", "w0_h1", "w1_h0"],
        ["a0_b0", "a0_b1", "a1_b0"],  # nobody knows which is a row
        ["A", "B", "C"],  # as a spreadsheet has them: whoever names them otherwise turns pixels
        ["top", "middle", "bottom"],
        ["p1", "rest"],
        ["0x0f", "0x10"],
        ["p1", "P2"],
        ["p\u0661", "p\u0662"],  # digits of another script
        [f"p{n}{'0' * 5000}" for n in range(2)],
    ],
)
def test_names_in_another_order_are_refused_in_one_line(names):
    with pytest.raises(ModelRefused, match="numbered in the order of their pixels") as told:
        expect_in_order(_model(names))
    assert "\n" not in str(told.value)
