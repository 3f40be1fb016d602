"""Settings of Python, MLflow and Prefect for a command line, set before these are imported.

They turn down noise and telemetry, and give Prefect's temporary server time to start. A variable
that the user has set is left as it is.
"""

import os
import tomllib
from pathlib import Path

_PYTHON = {
    # The resource tracker gives back the semaphores of a process that was ended, and says so on
    # stderr after our last line.
    "PYTHONWARNINGS": "ignore:resource_tracker",
}
_MLFLOW = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # our own last line names the page
}
_TEMPORARY_PREFECT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # the command reports errors in one line
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # Prefect's own 20 seconds are too few on a busy machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
}


def quieten(prefect_home: Path | None = None) -> None:
    """Sets the variables that turn down Python's resource tracker, MLflow and Prefect.

    Prefect's are set only if no Prefect server is configured: the users of a server want its log.
    Then `prefect_home`, if given, is made, and Prefect's temporary server keeps its files there.
    """
    settings = _PYTHON | _MLFLOW
    if _temporary_server():
        settings |= _TEMPORARY_PREFECT
        if prefect_home is not None:
            prefect_home.mkdir(parents=True, exist_ok=True)
            settings["PREFECT_HOME"] = str(prefect_home.resolve())
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _temporary_server() -> bool:
    """Whether neither PREFECT_API_URL nor the profile names a server; Prefect is not imported."""
    if os.environ.get("PREFECT_API_URL"):
        return False
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = home / "profiles.toml"
    if not profiles.is_file():
        return True
    content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    name = os.environ.get("PREFECT_PROFILE") or content.get("active")
    return "PREFECT_API_URL" not in content.get("profiles", {}).get(name, {})
