"""What somebody wrote into a class name or a table is no formula in an artifact."""

import io

import numpy as np
import pandas as pd
import pytest

from audits.tracking.spreadsheet import as_csv


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_texts_that_begin_as_a_formula_are_texts(start):
    formula = f"{start}cmd|' /C calc'!A0"
    table = pd.DataFrame({"class": [formula, "cat"], formula: [1, 2]})
    read = pd.read_csv(io.BytesIO(as_csv(table)))
    assert read["class"].tolist() == [f"'{formula}", "cat"]
    assert read.columns.tolist() == ["class", f"'{formula}"]


def test_other_values_are_as_pandas_writes_them():
    table = pd.DataFrame({"share": [-0.5, np.nan], "class": ["a-b", None], "n": [-1, 2]})
    assert as_csv(table).decode().replace("\r\n", "\n") == table.to_csv(index=False)


@pytest.mark.parametrize("end", [";", "\t", "|", "\n", '; "'])
def test_a_formula_behind_the_end_of_a_cell_elsewhere_is_text(end):
    table = pd.DataFrame({"class": [f"x{end}=1+1", f"x{end}cat"]})
    read = pd.read_csv(io.BytesIO(as_csv(table)))["class"].tolist()
    assert read == [f"x{end[0]}'{end[1:]}=1+1", f"x{end}cat"]
