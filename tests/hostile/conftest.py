"""Fixtures for hostile input: a record of an audit that a test can damage."""

import pytest
from records import Record


@pytest.fixture(scope="module")
def record(shared_registry, tmp_path_factory):
    return Record(tmp_path_factory.mktemp("records"))
