"""A tracking server whose search results never come to an end is left."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

import mlflow
import pytest

from audits.errors import AuditError
from audits.models import registry


@pytest.fixture
def endless(request):
    """A server whose pages each name a next one; by `request.param` the same or another."""
    numbers = count()

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self):
            token = "again" if request.param == "same" else f"page {next(numbers)}"
            body = json.dumps({"registered_models": [], "next_page_token": token}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("endless", "message"),
    [("same", "got the token of a page again"), ("other", "got more than 20")],
    indirect=["endless"],
)
def test_pages_without_an_end_are_refused(endless, message, monkeypatch):
    monkeypatch.setattr(registry, "_MOST_PAGES", 20)
    search = mlflow.MlflowClient(tracking_uri=endless, registry_uri=endless)
    with pytest.raises(AuditError, match=message):
        registry.all_pages(search.search_registered_models, max_results=10)
