"""Hooks of all tests: which files are read, and in which order; fixtures are in `support`."""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_MARKS = ("slow", "soak")

# The files that take longest, the longest first: workers that begin with them end together.
_LONG = (
    "end_to_end/test_demo.py",
    "end_to_end/test_kills.py",
    "forms/test_forms.py",
    "flows/test_prefect.py",
    "test_docs_commands.py",
    "flows/test_interrupt.py",
    "audits/models/test_pt2.py",
    "end_to_end/test_automation.py",
    "end_to_end/test_outage.py",
    "end_to_end/test_real_network.py",
    "flows/test_operations.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Loads the fixtures, but not where tests are only handed out: their imports take seconds."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files without the mark that is wanted: imports take long."""
    first, *_ = (config.option.markexpr or "not").split()
    if first == "not" or not collection_path.match("test_*.py"):
        return None
    return f"pytest.mark.{first}" not in collection_path.read_text() or None


@pytest.hookimpl(tryfirst=True)  # before tests are deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files of `_LONG` first, in their order, and leaves the others where they are."""
    for mark in _MARKS:
        for file in {item.path for item in items if item.get_closest_marker(mark)}:
            if f"pytest.mark.{mark}" not in file.read_text():
                raise pytest.UsageError(
                    f"Expected {mark} tests to be marked in their own file, found none in {file}. "
                    f"Write pytest.mark.{mark} there: `-m {mark}` reads no other files."
                )
    place = {_HERE / file: number for number, file in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
