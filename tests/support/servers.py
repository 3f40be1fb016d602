"""MLflow and Prefect servers for tests, on 127.0.0.1, stopped by process id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A process with an HTTP port that can be stopped and started again."""

    def __init__(self, command: list[str], port: int, health: str, log: Path, **environment: str):
        self.url = f"http://127.0.0.1:{port}"
        self._command, self._health, self._log = command, health, log
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 120) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self._command} did not start:\n{self._log.read_text()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends the process and all that it has started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(self.url + self._health, timeout=2).ok
        except requests.RequestException:
            return False


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Server]:
    """Runs `mlflow server` with SQLite, which serves artifacts itself."""
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "mlflow"),
        *("server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    # Its ten processes for background jobs take longer to start than the server itself.
    without = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = Server(command, port, "/health", folder / "mlflow.log", **without)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def prefect_server(folder: Path, database: Path) -> Iterator[Server]:
    """Runs `prefect server start` with a copy of an empty database."""
    (folder / "prefect").mkdir()
    shutil.copy(database, folder / "prefect")
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "prefect"),
        *("server", "start", "--host", "127.0.0.1", "--port", str(port)),
    ]
    settings = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    server = Server(command, port, "/api/health", folder / "prefect.log", **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
