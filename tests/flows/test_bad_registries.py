"""A tracking URI that leads to no MLflow, and a server that is broken, are one line."""

import os
import re
import sqlite3
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from bad_places import QUOTES
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from audits.models.server import expect_registry
from flows.cli import main
from flows.terminal.told import told


def _other_database(folder):
    path = folder / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    return f"sqlite:///{path}"


_URIS = {
    "ftp": (lambda p: "ftp://x", "to name an MLflow server or database, got 'ftp://x'"),
    "colons": (lambda p: "::::", "to name an MLflow server or database, got '::::'"),
    "folder": (lambda p: str(p.folder), "to name an MLflow server or database, got"),
    "text file": (lambda p: f"sqlite:///{p.file}", "Expected MLflow's database at .*file"),
    "database of a folder": (lambda p: f"sqlite:///{p.folder}", "MLflow's database .*found none"),
    "another's database": (lambda p: _other_database(p.folder), "a file without its tables"),
    "not a URI": (lambda p: "sqlite:nonsense", "to name a database, got"),
    "memory": (lambda p: "sqlite://", "Expected MLflow's database at .*found none"),
    "no driver": (
        lambda p: "mssql://user:secret@127.0.0.1:9/x",
        r"Expected a driver for the database mssql://127.* found none",
    ),
    "nobody": (lambda p: "http://127.0.0.1:9", "Expected an MLflow server at .*no answer"),
    "no host": (lambda p: "http://", "Expected an MLflow server at .*no answer"),
}


@contextmanager
def _at(uri):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)


@pytest.mark.parametrize("command", ["audit", "history"])
@pytest.mark.parametrize("case", _URIS)
def test_a_uri_that_is_no_mlflow_is_one_line(case, command, models, place, refused):
    uri, expected = _URIS[case]
    uri = uri(place)
    typed = place.audit() if command == "audit" else ["history", "m"]
    files = {path: path.read_bytes() for path in map(Path, place.files()) if path.is_file()}
    with _at(uri):
        line = refused(typed)
    assert re.search(expected, line), line
    assert "secret" not in line
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}?timeout=30", "file:{}?timeout=30&uri=true"])
def test_a_database_is_looked_at_with_the_settings_of_its_uri(form, models, tmp_path, monkeypatch):
    # MLflow makes an empty folder `file:/...` where it runs, for a URI that begins with file:.
    monkeypatch.chdir(tmp_path)
    file = mlflow.get_tracking_uri().removeprefix("sqlite:///")
    uri = f"sqlite:///{form.format(file)}"
    with sqlite3.connect(file, check_same_thread=False) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        seconds = 8  # more than the 5 that SQLite waits if nobody says how long
        threading.Timer(seconds, writer.rollback).start()
        with _at(uri):
            expect_registry()
            assert MlflowClient().get_model_version("m", "1").name == "m"


@contextmanager
def _server(answer):
    """A server on 127.0.0.1 that answers (status, body) for a path; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _later(status, body):
    """Answers searches as MLflow does, and everything else with `status` and `body`."""
    return lambda path: (200, b"{}") if "/search" in path else (status, body)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(lambda _: (500, b"{}"), "an answer with the status 500", id="500"),
        pytest.param(lambda _: (404, b""), "an answer with the status 404", id="404"),
        pytest.param(lambda _: (401, b"who?"), "an answer with the status 401", id="401"),
        pytest.param(lambda _: (200, b"<html>"), "answer that is not MLflow's", id="garbage"),
        pytest.param(lambda _: (200, b"[1]"), "answer that is not MLflow's", id="list"),
        pytest.param(_later(500, b"{}"), "Expected an answer of MLflow at", id="500 later"),
        pytest.param(
            _later(200, b'{"model_version": {"name": 5}}'),
            "MLflow's answers from",
            id="types later",
        ),
        pytest.param(_later(200, b"<html>"), "Expected an answer of MLflow", id="garbage later"),
    ],
)
def test_a_broken_server_is_not_told_as_an_unknown_model(
    answer, expected, models, place, refused, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with _server(answer) as url, _at(url):
        line = refused(place.audit())
    assert re.search(expected, line), line
    assert "found none" not in line


@pytest.mark.parametrize("alias", ["a b", "latest", "LATEST", "v1", "V22", "", "a" * 256, "é/"])
def test_mlflow_refuses_the_same_aliases(alias, models):
    with pytest.raises(MlflowException):
        MlflowClient().set_registered_model_alias("m", alias, "1")


def test_a_name_with_both_quotes_is_found_and_no_other(models, place, capfd):
    client = MlflowClient()
    client.create_registered_model('a_b"c')  # an underscore stands for any character in LIKE
    client.create_model_version('a_b"c', source=place.folder.as_uri())
    typed = ["sweep", "--config", str(place.config()), "--name", QUOTES, "--dry-run"]
    assert main(typed) == 0
    heading, rule, row = capfd.readouterr().out.splitlines()
    assert (heading.split(), set(rule)) == (["version", "why"], {"-"})
    why = "there is no complete audit that can be verified"
    assert row.rstrip() == f"models:/{QUOTES}/1  due  {why}"


def test_a_full_disk_elsewhere_is_told_with_the_places_that_are_written():
    line = told(OSError(28, "No space left on device"))
    assert line is not None
    assert re.search(r"No space left on device\. Free: [\d,]+ MB in /", line)
    assert told(ValueError("a mistake of ours")) is None


def test_a_folder_whose_name_is_no_utf_8_is_one_line(tmp_path, capfd):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/d\xff")
    assert main(["demo", "--folder", folder, "--without-prefect"]) == 2
    *_, line = capfd.readouterr().err.splitlines()  # the tests' own MLflow prints before
    assert line.startswith("Expected files and folders whose names are UTF-8, got")
