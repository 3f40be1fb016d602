"""Settings of Python, MLflow and Prefect for a command line, set before these are imported.

They turn down noise and telemetry, and give Prefect's temporary server time to start. A variable
that the user has set is left as it is.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

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
    if not _server_named():
        settings |= _TEMPORARY_PREFECT
        if prefect_home is not None:
            prefect_home.mkdir(parents=True, exist_ok=True)
            settings["PREFECT_HOME"] = str(prefect_home.resolve())
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _server_named() -> bool:
    """Whether a Prefect server is named where Prefect looks for it; Prefect is not imported.

    That is the environment, `.env`, the active profile, `prefect.toml` and `pyproject.toml`. True
    if that is not sure: nothing of a configured server may be turned down, and whether there is a
    server is decided later, by Prefect itself.
    """
    try:
        variables = {name.upper(): value for name, value in (_dotenv() | os.environ).items()}
        if variables.get("PREFECT_API_URL") or variables.get("PREFECT_API"):
            return True
        tables = (_toml("prefect.toml"), _toml("pyproject.toml").get("tool", {}).get("prefect", {}))
        if any("url" in table.get("api", {}) for table in tables):
            return True
        told = [table.get("profiles_path") for table in tables]
        return _profile_names_server(variables.get("PREFECT_PROFILES_PATH") or told[0] or told[1])
    except (OSError, ValueError, AttributeError, TypeError):  # files that Prefect will refuse
        return True


def _profile_names_server(path: str | None) -> bool:
    home = os.environ.get("PREFECT_HOME") or Path.home() / ".prefect"
    content = _toml(path or Path(home) / "profiles.toml")
    name = os.environ.get("PREFECT_PROFILE") or content.get("active") or "ephemeral"
    profiles = content.get("profiles", {})
    if name not in profiles:  # then it may be one of Prefect's own
        return name not in ("ephemeral", "test")
    return "PREFECT_API_URL" in profiles[name]


def _dotenv() -> dict[str, str | None]:
    if not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values  # Prefect needs it too

    return dict(dotenv_values(".env"))


def _toml(path: str | Path) -> dict[str, Any]:
    file = Path(path)
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
