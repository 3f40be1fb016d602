"""Fixtures of the tests of data."""

import pytest


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The `datasets` library, with its cache in a temporary folder and without the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    datasets.disable_progress_bars()
    return datasets
