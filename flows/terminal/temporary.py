"""A Prefect server for one command: the configured server, or else a temporary one of our own.

Prefect would start a temporary server itself, but gives it up after 20 seconds with a traceback,
starts it again for ever if it ends at once (exit code 3: its database cannot be opened, say), and
shares Ctrl-C with it, after which the flow waits a minute for an answer. Ours is told to Prefect as
PREFECT_API_URL as long as the command lasts.
"""

import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import requests
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import get_current_settings

from flows.server import configured, expect_answer, temporary

log = logging.getLogger(__name__)

_QUIET = 10.0  # seconds after which the wait is told
_DRAINED = 10.0  # seconds for the last events and lines of log to reach the server
_ERROR = re.compile(r"^[\w.]*(Error|Exception)\b")


@contextmanager
def prefect_server() -> Iterator[bool]:
    """Inside, Prefect has a server; yields False if the command must go on without Prefect.

    If no server is configured, a temporary one is started, and stopped at the end. It has
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to start. If it does not, the log says so in
    one line. Raises AuditError if a configured server does not answer.
    """
    if configured():
        expect_answer()
        yield True
        return
    started = _started_or_told()
    if started is None:
        yield False
        return
    process, url = started
    try:
        with temporary(url):
            yield True
            _drain()
    except KeyboardInterrupt:
        raise  # the command line ends our processes without waiting for them
    except BaseException:
        _stop(process)
        raise
    _stop(process)


def _started_or_told() -> "tuple[subprocess.Popen[bytes], str] | None":
    """The temporary server's process and its API's URL; None if there is none, which is logged."""
    settings = get_current_settings().server.ephemeral
    if not settings.enabled:
        log.warning(
            "No Prefect server is configured, and temporary ones are switched off "
            "(PREFECT_SERVER_EPHEMERAL_ENABLED): going on without Prefect."
        )
        return None
    try:
        return _started(settings.startup_timeout_seconds)
    except _NotStarted as reason:
        log.warning("Prefect's temporary server %s: going on without Prefect.", reason)
        return None


class _NotStarted(Exception):
    """Why the temporary server cannot be had; goes on the sentence 'The server ...'."""


def _started(patience: float) -> "tuple[subprocess.Popen[bytes], str]":
    """Starts a server on a free port of 127.0.0.1; returns it and its API's URL once it answers."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            # -P: a folder `prefect` where the user works is not Prefect.
            [
                *(sys.executable, "-P", "-m", "prefect", "server", "start", "--no-ui"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            # Its errors go to our file, where the reason is looked for.
            env={**os.environ, "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is not meant for it: the flow says its last word to it
        )
        try:
            _wait(process, port, f"{url}/health", patience, output)
        except BaseException:
            _stop(process)
            raise
    return process, url


def _wait(
    process: "subprocess.Popen[bytes]", port: int, health: str, patience: float, output: IO[bytes]
) -> None:
    started = time.monotonic()
    told = False
    while True:
        if process.poll() is not None:
            raise _NotStarted(f"ended with exit code {process.returncode}{_reason(output)}")
        # Another program may have taken the port since it was found free.
        if _answers(health) and _listens(process.pid, port):
            return
        waited = time.monotonic() - started
        if waited > patience:
            raise _NotStarted(f"did not start within {patience:g} s")
        if waited > _QUIET and not told:
            log.info(
                "waiting for Prefect's temporary server to start, up to %g s "
                "(--without-prefect does without it)",
                patience,
            )
            told = True
        time.sleep(0.1)


def _listens(session: int, port: int) -> bool:
    """Whether a process of this session (the server, or its child) listens on the port of IPv4."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Columns: 1 address:port in hexadecimal, 3 the state (0A is LISTEN), 9 the socket's inode.
    sockets = {
        f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"
    }
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):  # the process has ended, or has closed the file
            if os.getsid(int(process.name)) != session:
                continue
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                return True
    return False


def _answers(health: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy does not know our 127.0.0.1
            return session.get(health, timeout=2).ok
    except requests.RequestException:
        return False


def _reason(output: IO[bytes]) -> str:
    """The last line of the server's output that names an error, as ' (...)'."""
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()
    errors = [line.strip() for line in lines if _ERROR.match(line)]
    return f" ({errors[-1]})" if errors else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _drain() -> None:
    """Waits for the last events and log lines; else their threads would go on to ask the server."""
    EventsWorker.drain_all(timeout=_DRAINED)
    APILogWorker.drain_all(timeout=_DRAINED)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
