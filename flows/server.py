"""The Prefect server of the flows: did the user configure it, and does it answer?"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from httpx import InvalidURL
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from audits import AuditError

_TIMEOUT = 10.0  # seconds for one answer; Prefect's client asks several times
_URL = "PREFECT_API_URL"

_temporary: str | None = None  # the server that the command line has started


def configured() -> bool:
    """Whether the user has configured a Prefect server, by any of the ways that Prefect knows.

    The command line's own temporary server does not count.
    """
    url = get_current_settings().api.url
    return bool(url) and url != _temporary


@contextmanager
def temporary(url: str) -> Iterator[None]:
    """Inside, flows run at the API at `url`, and no server counts as configured by the user.

    Sets PREFECT_API_URL in the environment, and puts it back at the end.
    """
    global _temporary
    before = os.environ.get(_URL)
    _temporary = os.environ[_URL] = url
    refresh_global_settings_context()  # Prefect has read its environment by now
    try:
        yield
    finally:
        _temporary = None
        if before is None:
            del os.environ[_URL]
        else:
            os.environ[_URL] = before
        refresh_global_settings_context()


def expect_answer() -> None:
    """Raises AuditError if the configured server does not answer."""
    url = get_current_settings().api.url
    error: Exception | None
    try:
        with get_client(httpx_settings={"timeout": _TIMEOUT}, sync_client=True) as client:
            error = client.api_healthcheck()
    except InvalidURL as invalid:
        error = invalid
    if error is not None:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise AuditError(
            f"Expected a Prefect server at {url}, got no answer ({said}). Start it, or change "
            "PREFECT_API_URL or the Prefect profile. Audits run without it by --without-prefect."
        )
