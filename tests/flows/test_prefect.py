"""Audits run with or without a Prefect server; only a missing server of the user is an error."""

import itertools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
import requests
from prefect.settings import (
    PREFECT_API_URL,
    temporary_settings,
)
from processes import wait_until_unmarked

_PERFORMANCE = {"checks": [{"kind": "performance"}]}
_BOUNDS = itertools.count(0.0, 1e-4)
_NO_DATABASE = "sqlite+aiosqlite:////proc/nowhere/prefect.db"
_NOBODY = "http://127.0.0.1:9/api"
_AUDITED = {
    "audit": "m v1: PASSED, in part\n",
    "gate": "\npassed, in part: ",
    "sweep": "m/1  PASSED, in part  audited  ",
}
_COMMANDS = {
    "audit": ("audit", "models:/m/1"),
    "gate": ("gate", "models:/m/1", "--fresh"),
    "sweep": ("sweep", "--name", "m"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "environment", "reason"),
    [
        (
            "audit",
            {"PREFECT_SERVER_DATABASE_CONNECTION_URL": _NO_DATABASE},
            "Prefect's temporary server ended with exit code 3 (sqlalchemy.exc.OperationalError: "
            "(sqlite3.OperationalError) unable to open database file)",
        ),
        pytest.param(
            *("gate", {"PREFECT_HOME": "/proc/nowhere"}, "Prefect's temporary server ended with"),
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "sweep",
            {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "1"},
            "Prefect's temporary server did not start within 1 s",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_without_a_server_the_audit_goes_on_and_says_so(
    command, environment, reason, typed, config, tmp_path
):
    file = config(policy=_policy(), **_PERFORMANCE)
    mark = {"FILLBLANKS_TEST": str(tmp_path)}
    done = typed(*_COMMANDS[command], "--config", file, **environment, **mark)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "without Prefect" in line]
    assert line.startswith(reason)
    assert line.endswith(": going on without Prefect.")
    assert "Traceback" not in done.stderr
    assert _AUDITED[command] in done.stdout
    wait_until_unmarked(f"FILLBLANKS_TEST={tmp_path}")


@pytest.mark.soak
def test_a_wait_is_told_and_nothing_is_left_of_the_server(tmp_path, prefect_database):
    (tmp_path / "prefect").mkdir()
    shutil.copy(prefect_database, tmp_path / "prefect")
    code = (
        "import os\n"
        "from flows.terminal.environment import quieten\n"
        "quieten()\n"
        "from flows.server import configured\n"
        "from flows.terminal import console, temporary\n"
        "from prefect.client.orchestration import get_client\n"
        "from prefect.settings import get_current_settings\n"
        "console.show_progress()\n"
        "temporary._QUIET = 0.0\n"
        "with temporary.prefect_server() as there:\n"
        "    assert there and not configured()\n"
        "    with get_client(sync_client=True) as client:\n"
        "        assert client.api_healthcheck() is None\n"
        "        print(client.api_url)\n"
        "assert 'PREFECT_API_URL' not in os.environ\n"
        "assert get_current_settings().api.url is None"
    )
    done = _python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "waiting for Prefect's temporary server to start, up to 300 s "
        "(--without-prefect does without it)\n"
    )
    url = done.stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}health", timeout=5)
    wait_until_unmarked(f"FILLBLANKS_TEST={tmp_path}")


_SLOW_SERVER = """
import pathlib, sys, time
if {"prefect", "server", "start"} <= set(sys.orig_argv):
    time.sleep(22)  # Prefect itself waits for 20 s
    (pathlib.Path(__file__).parent / "slept").touch()
"""


@pytest.mark.soak
def test_a_temporary_server_that_starts_late_is_waited_for(typed, config, tmp_path):
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(_SLOW_SERVER)
    path = [str(tmp_path / "slow"), *filter(None, [os.environ.get("PYTHONPATH")])]
    home = tmp_path / "prefect"  # whose database the server makes
    process = typed(
        *(*_COMMANDS["audit"], "--config", config(policy=_policy(), **_PERFORMANCE)),
        wait=False,
        PYTHONPATH=os.pathsep.join(path),
        PREFECT_HOME=str(home),
        FILLBLANKS_TEST=str(tmp_path),
    )
    stdout, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    assert (tmp_path / "slow" / "slept").exists(), "the server was not slow"
    waiting, *lines = stderr.splitlines()
    assert waiting == (
        "waiting for Prefect's temporary server to start, up to 300 s "
        "(--without-prefect does without it)"
    )
    assert [line for line in lines if line.startswith("m v1: performance 1/")]
    for told in ("waiting", "without Prefect", "Traceback"):
        assert told not in "\n".join(lines)
    assert _AUDITED["audit"] in stdout
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        runs = database.execute("SELECT name, state_type FROM flow_run").fetchall()
    assert runs == [("audit models:/m/1", "COMPLETED")]
    wait_until_unmarked(f"FILLBLANKS_TEST={tmp_path}")


@pytest.mark.soak
def test_events_go_to_a_server_of_the_user_alone(prefect_api, tmp_path):
    code = (
        "import os\n"
        "from prefect.events.worker import EventsWorker\n"
        "from flows.events import announce_error\n"
        "from flows.server import temporary\n"
        "before = os.environ['PREFECT_API_URL']\n"
        "with temporary(before):\n"
        "    announce_error('models:/events/1', 'at a temporary server')\n"
        "assert os.environ['PREFECT_API_URL'] == before\n"
        "announce_error('models:/events/1', 'at a server of the user')\n"
        "EventsWorker.drain_all()"
    )
    done = _python(code, tmp_path, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    wanted = {"resource": {"id": ["fillblanks.model.events.1"]}}
    deadline = time.monotonic() + 60
    while not (events := _events(prefect_api, wanted)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert [event["payload"]["reason"] for event in events] == ["at a server of the user"]


def _events(api, wanted):
    body = {"filter": wanted}
    return requests.post(f"{api}/events/filter", json=body, timeout=10).json()["events"]


_WITHOUT_PREFECT = """
import json, sys
from flows.cli import main
if __name__ == "__main__":
    codes = [main(command) for command in json.loads(sys.argv[1])]
    print([name for name in sys.modules if name.split(".")[0] == "prefect"])
    sys.exit(max(codes))
"""


@pytest.fixture
def plainly(typed):
    """A function that runs commands without Prefect; returns the lines on stdout."""

    def run(*commands):
        given = [[*map(str, command), "--without-prefect"] for command in commands]
        done = typed("-c", _WITHOUT_PREFECT, json.dumps(given), command=(sys.executable,))
        assert done.returncode == 0, done.stderr
        *lines, modules = done.stdout.splitlines()
        assert modules == "[]"
        return lines

    return run


@pytest.mark.slow
def test_without_prefect_means_that_it_is_not_imported(plainly, config):
    file = config(policy=_policy(), **_PERFORMANCE)
    later = config(file="later.yaml", policy=_policy(), **_PERFORMANCE)
    lines = plainly(
        (*_COMMANDS["gate"], "--config", file), (*_COMMANDS["sweep"], "--config", later)
    )
    told = "\n".join(lines)
    assert _AUDITED["gate"] in told
    assert _AUDITED["sweep"] in told


@pytest.mark.soak
def test_evidence_and_words_are_the_same_without_prefect(plainly, typed, config, prefect_api):
    file = config(policy=_policy(), experiment="same", **_PERFORMANCE)
    plain = plainly((*_COMMANDS["audit"], "--config", file))
    (file.parent / "store").rename(file.parent / "measured")  # so that the flow measures anew
    server = {"PREFECT_API_URL": prefect_api, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    flow = typed(*_COMMANDS["audit"], "--config", file, **server)
    assert flow.returncode == 0, flow.stderr
    runs = mlflow.search_runs(experiment_names=["same"], output_format="list")
    assert len(runs) == 2
    files = [Path(urlparse(run.info.artifact_uri).path) / "evidence.json" for run in runs]
    assert files[0].read_bytes() == files[1].read_bytes()
    ids = re.compile("|".join(run.info.run_id for run in runs))
    assert [ids.sub("RUN", line) for line in plain] == ids.sub("RUN", flow.stdout).splitlines()


_AWAY = f"Expected a Prefect server at {_NOBODY}, got no answer (ConnectError"


@pytest.mark.slow
def test_a_server_that_the_user_names_and_that_is_away_is_an_error(told, config):
    file = config(policy=_policy(), **_PERFORMANCE)
    with temporary_settings({PREFECT_API_URL: _NOBODY}):
        code, stdout, stderr = told("audit", "models:/m/1", "--config", file)
    assert (code, stdout) == (2, "")
    (line,) = stderr.splitlines()
    assert line.startswith(_AWAY)


@pytest.mark.soak
def test_a_server_of_the_users_profile_that_is_away_is_an_error(typed, config, tmp_path):
    (tmp_path / "profiles.toml").write_text(
        f'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "{_NOBODY}"\n'
    )
    file = config(policy=_policy(), **_PERFORMANCE)
    done = typed("audit", "models:/m/1", "--config", file, PREFECT_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(_AWAY)


@pytest.mark.slow
def test_a_gate_whose_prefect_server_is_away_is_undecided_in_every_form(told, config):
    file = config(policy=_policy(), **_PERFORMANCE)
    with temporary_settings({PREFECT_API_URL: _NOBODY}):
        code, stdout, stderr = told("gate", "models:/m/1", "--config", file, "--fresh", "--json")
    decision = json.loads(stdout)
    assert (code, decision["verdict"]) == (2, "undecided")
    assert decision["reason"].startswith("Expected a Prefect server at")
    assert "Traceback" not in stderr


def _policy():
    """A policy that no earlier audit had, so that a sweep finds the version due."""
    return {"conditions": [{"metric": "performance/accuracy", "min": next(_BOUNDS)}]}


def _python(code, folder, **changes):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "FILLBLANKS_TEST": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], env={**environment, **changes}, capture_output=True, text=True
    )
