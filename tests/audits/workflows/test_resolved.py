"""A resolved config names everything itself: versions, and class names instead of their file."""

import pytest

from audits import AuditError, parse_config
from audits.workflows.resolved import pinned


def _config(**preprocessing):
    return parse_config(
        {
            "model": "models:/digits/1",
            "data": {"kind": "digits"},
            "checks": [{"kind": "performance"}],
            "preprocessing": preprocessing,
        }
    )


def test_class_names_take_the_place_of_their_file(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("cat\ndog\n")
    own = pinned(_config(classes_file=str(file), range="0-1"), names=()).preprocessing
    assert (own.classes, own.classes_file, own.range) == (("cat", "dog"), None, "0-1")
    plain = _config(classes=["a", "b"])
    assert pinned(plain, names=()) == plain
    with pytest.raises(AuditError, match="found no file"):
        pinned(_config(classes_file=str(tmp_path / "none.txt")), names=())
