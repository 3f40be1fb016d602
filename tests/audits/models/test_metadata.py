"""Metadata that make no sense are a refusal of the model."""

import pytest
from bad_places import model_files

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_number_in_the_metadata_that_no_float_holds_is_a_refusal(name, tmp_path):
    folder = model_files(tmp_path / "m", **{name: [10**400]})
    with pytest.raises(ModelRefused, match="Expected numbers of at most 100 digits in MLmodel"):
        inspect(folder, Preprocessing(), Trust(by_name=True))
