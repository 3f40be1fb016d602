"""The Prefect server that the user has configured: is there one, and does it answer?"""

from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from audits import AuditError

_TIMEOUT = 10.0  # seconds for one answer; Prefect's client asks several times


def configured() -> bool:
    """Whether a Prefect server is configured, by any of the ways that Prefect knows."""
    return bool(get_current_settings().api.url)


def expect_answer() -> None:
    """Raises AuditError if the configured server does not answer."""
    url = get_current_settings().api.url
    with get_client(httpx_settings={"timeout": _TIMEOUT}, sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise AuditError(
            f"Expected a Prefect server at {url}, got no answer ({said}). Start it, or change "
            "PREFECT_API_URL or the Prefect profile. Audits run without it by --without-prefect."
        )
