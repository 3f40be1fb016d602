"""On a real Prefect server a failed audit starts an automation, and `serve` keeps a schedule."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
import yaml
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.settings import PREFECT_API_URL, temporary_settings
from servers import prefect_server
from simple_nets import logistic

pytestmark = pytest.mark.slow  # starts a server, a deployment and flow runs


@pytest.fixture(scope="module")
def prefect(tmp_path_factory, prefect_database):
    with prefect_server(tmp_path_factory.mktemp("prefect"), prefect_database) as running:
        yield f"{running.url}/api"


@pytest.fixture
def received():
    """The URL of a webhook on 127.0.0.1, and the bodies that it receives."""
    bodies = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", bodies
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def config(shared_registry, register, tmp_path_factory):
    register(logistic(), "m")
    folder = tmp_path_factory.mktemp("audit")
    values = {
        "model": "models:/m/1",
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}],
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.999}]},
        "store": str(folder / "store"),
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(values))
    return folder / "audit.yaml"


def _start(api, *arguments, **settings):
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "fillblanks"), *map(str, arguments)],
        env={**os.environ, "PREFECT_API_URL": api, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # If the tests run in the background, SIGINT is ignored, and children inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


_ENDED = ("COMPLETED", "FAILED", "CRASHED")


def _until(found, seconds=90):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return result


@pytest.mark.soak
def test_a_failed_audit_sets_off_an_automation(prefect, received, config):
    url, bodies = received
    with temporary_settings({PREFECT_API_URL: prefect}):
        block = Webhook(method="POST", url=url, allow_private_urls=True).save("receiver")
        Automation(
            name="tell",
            trigger=EventTrigger(
                expect={"fillblanks.audit.failed"},
                match={"prefect.resource.id": "fillblanks.model.m.*"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                CallWebhook(
                    block_document_id=block,
                    payload='{"reason": "{{ event.payload.reason }}"}',
                )
            ],
        ).create()
    process = _start(prefect, "audit", "models:/m/1", "--config", config)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1, told
    (body,) = _until(lambda: bodies)
    assert json.loads(body)["reason"].startswith("performance/accuracy >= 0.999: failed with")
    flow_runs = requests.post(f"{prefect}/flow_runs/filter", json={}, timeout=10).json()
    assert [run["state"]["name"] for run in flow_runs] == ["Failed"]
    assert "performance/accuracy >= 0.999" in flow_runs[0]["state"]["message"]


def test_served_deployments_run_and_are_scheduled(prefect, config):
    often = {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}  # of 10 seconds by default
    words = ("serve", "--config", config, "--cron", "0 3 * * *", "--name", "m")
    process = _start(prefect, *words, **often)

    def deployment():
        assert process.poll() is None, process.stdout.read()
        found = requests.get(f"{prefect}/deployments/name/sweep/sweep", timeout=10)
        return found.json() if found.ok else None

    try:
        found = _until(deployment)
        assert found["schedules"][0]["schedule"]["cron"] == "0 3 * * *"

        def run(name, **parameters):
            """The last state of a run that somebody starts with these parameters."""
            there = requests.get(f"{prefect}/deployments/name/{name}", timeout=10).json()

            def asked():
                path = f"{prefect}/deployments/{there['id']}/create_flow_run"
                answer = requests.post(path, json={"parameters": parameters}, timeout=10)
                return answer.json() if answer.ok else None  # a busy server may refuse at first

            created = _until(asked)

            def ended():
                one = requests.get(f"{prefect}/flow_runs/{created['id']}", timeout=10).json()
                return one["state"] if one["state"]["type"] in _ENDED else None

            return _until(ended, seconds=180)

        state = run("sweep/sweep")
        assert (state["name"], state["type"]) == ("Failed", "FAILED")
        assert "1 versions" in state["message"]
        assert "1 failed" in state["message"]
        artifacts = requests.post(f"{prefect}/artifacts/filter", json={}, timeout=10).json()
        (summary,) = [one for one in artifacts if one["key"] == "audit-sweep"]
        assert json.loads(summary["data"])[0]["name"] == "m"

        state = run("audit/audit", model="models:/m/1")
        assert "performance/accuracy >= 0.999: failed with" in state["message"]
        # Who may start runs gives no config, which could take the cell away.
        other = {"checks": [{"kind": "performance"}], "data": {"kind": "digits"}, "policy": {}}
        state = run("audit/audit", model="models:/m/1", config={**other, "isolation": "none"})
        assert state["type"] in ("FAILED", "CRASHED")
        assert "performance" not in state["message"]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
