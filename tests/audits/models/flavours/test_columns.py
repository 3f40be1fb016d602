"""Columns of a signature stand in the order of their pixels, by the numbers in their names."""

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
        ["top", "middle", "bottom"],
        [f"y{row}_x{column}" for row in range(3) for column in range(12)],
        [f"x{column}_y{row}" for row in range(3) for column in range(12)],
        [f"col{column}row{row}" for row in range(3) for column in range(12)],
        [f"pixel_{row}_{column}" for row in range(3) for column in range(12)],
        ["p1", "rest"],
        [None, None],
    ],
)
def test_names_that_rise_or_say_nothing_are_taken(names):
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
    ],
)
def test_names_in_another_order_are_refused_in_one_line(names):
    with pytest.raises(ModelRefused, match="in the order of their pixels") as told:
        expect_in_order(_model(names))
    assert "\n" not in str(told.value)
