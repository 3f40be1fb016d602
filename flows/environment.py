"""Settings of Python, MLflow and Prefect for a command line; set before these are imported.

Only noise and telemetry are turned down, and only where the user has not said otherwise.
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
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # our own last line says where to look
}
_TEMPORARY_PREFECT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is said by the command, in one line
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def quieten(prefect_home: Path | None = None) -> None:
    """Turns down Python's resource tracker, MLflow's bars and Prefect's temporary server.

    That server keeps its files in `prefect_home`, where given. Where a Prefect server is
    configured, its users want its log: then Prefect is left alone.
    """
    settings = _PYTHON | _MLFLOW
    if temporary_server():
        settings |= _TEMPORARY_PREFECT
        if prefect_home is not None:
            prefect_home.mkdir(parents=True, exist_ok=True)
            settings["PREFECT_HOME"] = str(prefect_home.resolve())
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def temporary_server() -> bool:
    """Whether no Prefect server is configured, so that Prefect starts one for the occasion."""
    if os.environ.get("PREFECT_API_URL"):
        return False
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = home / "profiles.toml"
    if not profiles.is_file():
        return True
    content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    name = os.environ.get("PREFECT_PROFILE") or content.get("active")
    return "PREFECT_API_URL" not in content.get("profiles", {}).get(name, {})
