"""A copy of a file of another machine ends at the size that was told."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest

from audits import AuditError
from audits.data import places


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class _Endless(BaseHTTPRequestHandler):
    """Tells of a file of 300 bytes, and sends on."""

    sent = 0

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "300")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # the other side has closed
            for _ in range(200):
                self.wfile.write(bytes(1 << 20))
                type(self).sent += 1 << 20

    def log_message(self, *_):
        pass


def test_a_server_that_sends_on_does_not_fill_the_disk(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}/0.png"
        with pytest.raises(AuditError, match="told to have 300 bytes at most, and has more"):
            places.file_at(place)
        server.shutdown()
        thread.join()
    assert _Endless.sent < 200 << 20
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 1 << 20


def test_a_copy_of_the_size_that_was_told_is_whole():
    with fsspec.open("memory://bounded/0.bin", "wb") as file:
        file.write(bytes(7 << 20))
    assert places.file_at("memory://bounded/0.bin").stat().st_size == 7 << 20
