"""A temporary Prefect server that is switched off or cannot start is told, and is not there."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    temporary_settings,
)

from flows.terminal import temporary
from flows.terminal.temporary import prefect_server


def test_temporary_servers_that_are_switched_off_are_not_started(caplog):
    off = {PREFECT_API_URL: None, PREFECT_SERVER_EPHEMERAL_ENABLED: False}
    with temporary_settings(off), prefect_server() as there:
        assert not there
    assert "switched off (PREFECT_SERVER_EPHEMERAL_ENABLED): going on without" in caplog.text


class _Stranger(BaseHTTPRequestHandler):
    """Answers every question as if all were well."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_stranger_on_the_port_is_not_taken_for_the_server(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        monkeypatch.setattr(temporary, "_free_port", lambda: stranger.server_port)
        with temporary_settings({PREFECT_API_URL: None}), prefect_server() as there:
            assert not there
        stranger.shutdown()
    assert "Prefect's temporary server ended with exit code 1" in caplog.text
