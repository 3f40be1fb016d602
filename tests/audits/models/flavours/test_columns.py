"""Columns of a signature stand in the order of their pixels, and differ by their numbers alone."""

import numpy as np
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from audits.errors import ModelRefused
from audits.models.contract import Said, merged
from audits.models.flavours.columns import (
    as_asked,
    expect_in_order,
    expect_no_columns,
    said_by_columns,
    said_by_served_columns,
)

PIXELS = [f"pixel{n}" for n in range(4)]


def _model(names, kind="float"):
    columns = Schema([ColSpec(kind, name) for name in names])
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


@pytest.mark.parametrize("kind", ["integer", "long"])
def test_columns_of_whole_numbers_are_pixels_of_8_bits(kind):
    """MLflow's server refuses all other numbers for them, so pixels in 0-1 would be 0 or 1."""
    said = said_by_columns(_model(PIXELS, kind))
    contract = merged([said])
    assert (contract.range, contract.dtype, contract.layout) == ("0-255", "uint8", "flat")
    frame = as_asked(_model(PIXELS, kind))(np.array([[0, 1, 254, 255]], np.uint8))
    assert frame.to_numpy().tolist() == [[0, 1, 254, 255]]
    for values in ({"range": "0-1"}, {"mean": (0.3,)}, {"std": (0.35,)}):
        with pytest.raises(ModelRefused, match="whole numbers from 0 to 255"):
            merged([Said("the metadata", values), said])


@pytest.mark.parametrize("kind", ["float", "double"])
def test_columns_of_floats_say_nothing_of_the_range(kind):
    contract = merged(
        [Said("the metadata", {"range": "0-1"}), said_by_columns(_model(PIXELS, kind))]
    )
    assert (contract.range, contract.dtype) == ("0-1", "float32")
    served = said_by_served_columns(_model(PIXELS, kind))
    assert served.values == {**said_by_columns(_model(PIXELS, kind)).values, "dtype": "float32"}
    assert served.decides == {"dtype", "layout"}


def test_columns_by_which_a_network_is_not_served_are_refused():
    with pytest.raises(ModelRefused, match="got 4 columns: MLflow's server would answer"):
        expect_no_columns(_model(PIXELS))
    expect_no_columns(Model())
    assert said_by_served_columns(Model()).values == {}


def test_a_network_of_columns_of_whole_numbers_is_given_pixels_as_they_are():
    said = said_by_served_columns(_model(PIXELS, "long"))
    contract = merged([said])
    assert (contract.range, contract.dtype) == ("0-255", "float32")
    assert (contract.pixel_mean, contract.pixel_std) == ((0.0,), (1 / 255,))
    assert said.decides == {"dtype", "layout", "range", "mean", "std"}
