"""A browser for the tests of pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import CHROMIUM, started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with started() as found:
        yield found
