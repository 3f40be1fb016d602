"""isolation: docker: a real container by podman or docker, with this Python in an empty image."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict

import hostile
import hostile_files
import mlflow
import numpy as np
import prying_net
import pytest
from containers import IMAGE, containers
from simple_nets import logistic

from audits import AuditError, run_audit
from audits.data import sources
from audits.execution import docker
from audits.execution.cell import Cell, Held, held
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models import registry
from audits.verdict.isolation import WITHOUT
from flows.cli import main

CHECKS = [{"kind": "performance", "images": 10}]
CONTAINED = Cell("0", "It runs code.", isolation="docker", image=IMAGE)


def test_docker_and_the_cell_inside_leave_nothing(in_path):
    with Worker() as worker:
        found = worker.call(held, seconds=120, cell=CONTAINED, gives=Held)
        assert worker.call(os.getpid, seconds=120, cell=CONTAINED) < 50, "it has ids of its own"
        assert len(containers(in_path)) == 1
    assert not found.refused
    assert {name for name, lost in asdict(found).items() if lost is False} == set()
    note = found.note(CONTAINED)
    assert note.startswith(f"It runs code. Its process was started by docker ({IMAGE}) and had no")


def test_hostile_code_gets_nowhere_in_a_container(in_path, tmp_path):
    (tmp_path / "secret").write_text("secret")
    attempts = [
        (hostile.starts,),
        (hostile.loosens,),
        (hostile.disturbs, 1),
        (hostile_files.reads, str(tmp_path / "secret"), str(tmp_path)),
        (hostile_files.writes, "/usr", os.__file__, "/dev/shm/none"),
        (hostile.connects, 9, 9, "/nowhere", "nobody"),
    ]
    with Worker() as worker:
        for function, *args in attempts:
            found = worker.call(function, *args, seconds=120, cell=CONTAINED)
            assert found == [], function.__name__
        assert worker.call(hostile.becomes, seconds=120, cell=CONTAINED) == "refused"


_PARENT = """
import os
import child_calls
from audits.execution.cell import Cell
from audits.execution.worker import Worker
if __name__ == "__main__":
    cell = Cell("0", "Why.", isolation="docker", image="{image}")
    with Worker() as worker:
        worker.call(os.getpid, seconds=120, cell=cell)
        print("begun", flush=True)
        worker.call(child_calls.sleep_through_sigterm, seconds=3600, cell=cell)
"""


@pytest.mark.slow
def test_no_container_outlives_a_parent_that_is_killed(in_path, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_PARENT.format(image=IMAGE))
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        assert len(containers(in_path)) == 1
        parent.kill()
    deadline = time.monotonic() + 60
    while containers(in_path):
        assert time.monotonic() < deadline, "the container lives on"
        time.sleep(0.5)


@pytest.mark.slow
def test_a_model_that_pries_gets_nowhere_in_a_container(config_of, in_path, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_TOKEN", prying_net.secret())
    with socket.create_server(("127.0.0.1", 0)) as server:
        net = prying_net.Prying(server.getsockname()[1], str(tmp_path))
        config = config_of(net, CHECKS, isolation="docker", docker_image=IMAGE)
        inputs = AuditInputs(config, registry.resolve(config.model), sources.load(config.data))
        with inputs, Worker() as worker, Session(inputs, worker) as session:
            got = session._model.ask(session.plan, prying_net.logits)
    found = {name for name, logit in zip(prying_net.ATTEMPTS, got, strict=False) if logit > 0}
    assert found == {"own"}


@pytest.mark.slow
def test_an_audit_in_a_container_has_the_same_figures_and_says_so(config_of, in_path, tmp_path):
    (tmp_path / "real, too").mkdir()
    (tmp_path / "link").symlink_to("real, too")
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "real, too" / "own.npz", x=images, y=np.arange(20) % 10)
    config = config_of(logistic(), CHECKS, data={"kind": "npz", "path": "link/own.npz"})
    values = {"isolation": "docker", "docker_image": IMAGE, "store": str(tmp_path / "own")}
    contained = run_audit(config.model_copy(update=values))
    assert contained.evidence[0].status == "ok", contained.evidence[0].reason
    told = f"was started by docker ({IMAGE}) and had no network"
    assert any(told in note for note in contained.notes)
    assert WITHOUT not in contained.verdict.reason
    plain = run_audit(config)
    assert plain.digest == contained.digest
    assert plain.evidence[0].metrics == contained.evidence[0].metrics


@pytest.mark.parametrize("found", ["nothing", "an error", "another release"])
def test_without_docker_there_is_one_line_and_nothing_is_recorded(
    found, config_of, tmp_path, monkeypatch, capsys
):
    told = {
        "nothing": "Expected docker for isolation: docker, got no command docker. Install it",
        "an error": "in the image base, got: docker: no such image. Build or pull an image",
        "another release": "in the image base, got: fillblanks 0.0.1 instead of",
    }[found]
    text = {
        "an error": "echo docker: no such image. >&2; exit 125",
        "another release": "echo 0.0.1",
    }
    if found != "nothing":
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{text[found]}\n")
        (tmp_path / "docker").chmod(0o755)
    values = {"isolation": "docker", "docker_image": "base", "experiment": "unrecorded"}
    config = config_of(logistic(), CHECKS, **values)
    monkeypatch.setenv("PATH", str(tmp_path))
    docker.expect_available.cache_clear()
    with pytest.raises(AuditError) as refused:
        run_audit(config)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    capsys.readouterr()
    assert main(["audit", config.model, "--config", str(file), "--without-prefect"]) == 2
    assert capsys.readouterr().err == f"{refused.value}\n"
    assert mlflow.MlflowClient().get_experiment_by_name(config.experiment) is None


def test_an_image_of_this_release_is_found(in_path):
    assert docker.expect_available(IMAGE) in (f"{os.geteuid()}:{os.getegid()}", "0:0")
