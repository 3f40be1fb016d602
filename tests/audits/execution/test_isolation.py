"""The isolation that a config names: bubblewrap has its own, and with none the verdict says so."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import hostile
import hostile_files
import mlflow
import numpy as np
import prying_net
import pytest
from bubblewrapped import needs_bubblewrap
from confined import confined
from processes import wait_until_unmarked
from simple_nets import logistic

from audits import AuditError, run_audit
from audits.data import sources
from audits.execution import bubblewrap
from audits.execution.cell import Cell, Held, held
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker, WorkerFailure
from audits.models import registry
from audits.verdict.isolation import WITHOUT
from audits.workflows.gate import gate
from flows.cli import main

CHECKS = [{"kind": "performance", "images": 10}]
POLICY = {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]}
WRAPPED = Cell("0", "It runs code.", isolation="bubblewrap")


@needs_bubblewrap
def test_bubblewrap_and_the_cell_inside_leave_nothing():
    with Worker() as worker:
        found = worker.call(held, seconds=120, cell=WRAPPED, gives=Held)
        assert worker.call(os.getpid, seconds=120, cell=WRAPPED) < 5, "it has ids of its own"
    assert not found.refused
    assert {name for name, lost in asdict(found).items() if lost is False} == set()
    assert found.note(WRAPPED).startswith("It runs code. Its process was started by bubblewrap and")


@needs_bubblewrap
def test_bubblewrap_alone_hides_files_servers_and_processes(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    alone = {"walls": "bubblewrap alone"}
    found = confined(hostile_files.reads, str(secret), str(tmp_path.parent), **alone)
    assert not set(found) - {"its folder", "the working folder", "the list of all"}
    assert confined(hostile.disturbs, os.getpid(), **alone) == []
    given = confined(
        *(hostile_files.writes, str(tmp_path), str(secret), "/dev/shm/none"),
        readable=(str(tmp_path),),
        **alone,
    )
    assert not set(given) - {"a lease"}
    assert secret.read_text() == "secret"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0fillblanks-{os.getpid()}")
        abstract.listen()
        servers = (tcp.getsockname()[1], 9, "/nowhere", f"fillblanks-{os.getpid()}")
        assert not {"TCP", "abstract"} & set(confined(hostile.connects, *servers, **alone))


_PARENT = """
import os, sys
import child_calls
from audits.execution.cell import Cell
from audits.execution.worker import Worker
if __name__ == "__main__":
    cell = Cell("0", "Why.", isolation="bubblewrap")
    with Worker() as worker:
        worker.call(os.getpid, seconds=120, cell=cell)
        print("begun", flush=True)
        worker.call(child_calls.sleep_through_sigterm, seconds=3600, cell=cell)
"""


@pytest.mark.slow
@needs_bubblewrap
def test_nothing_of_bubblewrap_outlives_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_PARENT)
    mark = f"isolation-{os.getpid()}"
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "FILLBLANKS_PROCESS": mark}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        parent.kill()
    wait_until_unmarked(f"FILLBLANKS_PROCESS={mark}")


@pytest.mark.slow
@needs_bubblewrap
def test_a_model_that_pries_gets_nowhere_in_bubblewrap(config_of, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_TOKEN", prying_net.secret())
    with socket.create_server(("127.0.0.1", 0)) as server:
        net = prying_net.Prying(server.getsockname()[1], str(tmp_path))
        config = config_of(net, CHECKS, isolation="bubblewrap")
        inputs = AuditInputs(config, registry.resolve(config.model), sources.load(config.data))
        with inputs, Worker() as worker, Session(inputs, worker) as session:
            got = session._model.ask(session.plan, prying_net.logits)
    found = {name for name, logit in zip(prying_net.ATTEMPTS, got, strict=False) if logit > 0}
    assert found == {"own"}


@pytest.mark.slow
@needs_bubblewrap
def test_an_audit_in_bubblewrap_has_the_same_figures_and_says_so(config_of, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "real" / "own.npz", x=images, y=np.arange(20) % 10)
    monkeypatch.chdir(tmp_path)
    for path in ("link/own.npz", str(tmp_path / "link" / "own.npz")):
        data = {"kind": "npz", "path": path}
        config = config_of(logistic(), CHECKS, data=data, policy=POLICY)
        wrapped = run_audit(config.model_copy(update={"isolation": "bubblewrap", "store": "own"}))
        assert wrapped.evidence[0].status == "ok", wrapped.evidence[0].reason
        assert any("was started by bubblewrap and had no network" in n for n in wrapped.notes)
        assert WITHOUT not in wrapped.verdict.reason
        plain = run_audit(config)
        assert plain.digest == wrapped.digest
        assert plain.evidence[0].metrics == wrapped.evidence[0].metrics


def _command(folder, text):
    """A folder with a bwrap that says `text`, or with none."""
    folder.mkdir()
    if text:
        (folder / "bwrap").write_text(f"#!/bin/sh\necho 'bwrap: {text}' >&2\nexit 1\n")
        (folder / "bwrap").chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "got no command bwrap. Install the system's package bubblewrap, or leave isolation"),
        ("setting up uid map: Permission denied", "got: bwrap: setting up uid map: Permission"),
    ],
)
def test_without_bubblewrap_there_is_one_line_and_nothing_is_recorded(
    text, told, config_of, tmp_path, monkeypatch, capsys
):
    config = config_of(logistic(), CHECKS, isolation="bubblewrap", experiment="unrecorded")
    monkeypatch.setenv("PATH", _command(tmp_path / "bin", text))
    with pytest.raises(AuditError) as refused:
        run_audit(config)
    assert str(refused.value).startswith("Expected bubblewrap ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    capsys.readouterr()
    assert main(["audit", config.model, "--config", str(file), "--without-prefect"]) == 2
    assert capsys.readouterr().err == f"{refused.value}\n"
    assert mlflow.MlflowClient().get_experiment_by_name(config.experiment) is None
    with Worker() as worker, pytest.raises((AuditError, WorkerFailure)):
        worker.call(os.getpid, seconds=120, cell=WRAPPED)


def test_links_on_the_way_to_a_file_are_kept(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").symlink_to("a")
    (tmp_path / "a" / "two").symlink_to(f"{tmp_path}/one/b/../b")
    (tmp_path / "loop").symlink_to("loop")
    links: dict[str, str] = {}
    assert bubblewrap._followed(f"{tmp_path}/one/./two/c", links) == f"{tmp_path}/a/b/c"
    known = {"one": "a", "a/two": f"{tmp_path}/one/b/../b"}
    assert links == {f"{tmp_path}/{name}": target for name, target in known.items()}
    assert bubblewrap._followed(f"{tmp_path}/loop/x", {}) == f"{tmp_path}/loop/x"


@pytest.fixture
def without(config_of):
    """A config of a model without isolation, and the same with it."""
    config = config_of(logistic(), CHECKS, isolation="none", policy=POLICY)
    return config, config.model_copy(update={"isolation": "process"})


@pytest.mark.slow
def test_an_audit_without_isolation_says_so_wherever_its_verdict_is(without, capsys, tmp_path):
    config, _ = without
    result = run_audit(config)
    assert result.verdict.word == "passed"
    assert result.verdict.reason.startswith(WITHOUT)
    assert any("had all rights of the user (isolation: none)" in note for note in result.notes)
    run = mlflow.get_run(result.run_id)
    assert run.data.tags["audit.reason"].startswith(WITHOUT)
    version = mlflow.MlflowClient().get_model_version("m", config.model.rsplit("/", 1)[-1])
    assert (
        f"Audit passed, in part, {datetime.now(UTC).date()}. {WITHOUT} Names" in version.description
    )
    assert run.data.tags["mlflow.note.content"] in version.description
    folder = mlflow.artifacts.download_artifacts(run_id=result.run_id)
    assert WITHOUT in Path(folder, "report.html").read_text()
    evidence = json.loads(Path(folder, "evidence.json").read_text())
    assert evidence["config"]["isolation"] == "none"
    assert evidence["verdict"]["reason"].startswith(WITHOUT)
    decision = gate(config.model, config=config, promote="released", accept_partial=True)
    assert decision.reused
    assert decision.line.startswith(f"passed, in part: {WITHOUT}")
    assert WITHOUT in decision.to_markdown()
    assert decision.promotion == f"released: nothing -> v{version.version}"
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    assert main(["audit", config.model, "--config", str(file), "--without-prefect"]) == 0
    assert f"\npassed, in part: {WITHOUT}" in capsys.readouterr().out


def test_a_process_without_isolation_has_what_the_user_has(without, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "own")
    with Worker() as worker:
        cell = Cell("0", "Why.", isolation="none")
        assert worker.call(os.getenv, "SOME_TOKEN", seconds=120, cell=cell) == "own"
        assert worker.call(os.path.expanduser, "~", seconds=120, cell=cell) == os.environ["HOME"]
        assert worker.call(held, seconds=120, cell=cell) is None


@pytest.mark.slow
def test_an_isolated_audit_takes_nothing_that_was_measured_without(without, monkeypatch):
    config, isolated = without
    first = run_audit(config)
    parts = set(os.listdir(Path(config.store, "parts")))
    decision = gate(isolated.model, config=isolated)
    assert not decision.reused
    assert WITHOUT not in decision.line
    again = set(os.listdir(Path(config.store, "parts")))
    assert len(again) == 2 * len(parts), "a part and a conclusion of its own"
    second = gate(isolated.model, config=isolated)
    assert second.reused
    assert second.run_id == decision.run_id != first.run_id
    assert not gate(config.model, config=config).reused
    assert set(os.listdir(Path(config.store, "parts"))) == again


def test_a_model_that_cannot_be_opened_without_isolation_is_told_with_both(config_of):
    config = config_of(logistic(), CHECKS, isolation="none", policy=POLICY)
    result = run_audit(config.model_copy(update={"trust_pickle_sha256": ()}))
    assert result.verdict.word == "undecided"
    assert result.verdict.reason.startswith(f"{WITHOUT} Expected")


@pytest.mark.slow
def test_a_config_in_mlflow_takes_no_isolation_away(config_of):
    config = config_of(logistic(), CHECKS, pickled=False, isolation="none", policy=POLICY)
    run_audit(config)
    decision = gate(config.model, baseline=config.model)
    assert not decision.reused
    assert WITHOUT not in decision.line
