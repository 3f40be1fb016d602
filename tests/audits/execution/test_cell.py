"""A model that runs code tries what it must not: in the cell it gets nowhere."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import hostile
import mlflow
import numpy as np
import pandas as pd
import prying_net
import pytest
from PIL import Image
from sessions import evaluated
from simple_nets import Linear, logistic

from audits import AuditError, parse_config
from audits.data import sources
from audits.execution.cell import Cell, Held, Inside, held
from audits.execution.child import Job, open_model, run
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models import registry

SECRET = prying_net.secret()
CHECKS = [{"kind": "performance", "images": 10}]


@pytest.fixture(scope="module")
def told():
    """What a cell takes away on this machine."""
    with Worker() as worker:
        return worker.call(held, seconds=120, cell=Cell("0", "It runs code.", ()), gives=Held)


@pytest.fixture
def pried(config_of, monkeypatch, tmp_path):
    """Audits a prying network; the attempts that succeeded, in a cell or out of it."""

    def names(logits):
        return {name for name, found in zip(prying_net.ATTEMPTS, logits, strict=False) if found > 0}

    def make(confined, **values):
        monkeypatch.setenv("SOME_TOKEN", SECRET)
        with socket.create_server(("127.0.0.1", 0)) as server:
            net = prying_net.Prying(server.getsockname()[1], str(tmp_path))
            config = config_of(net, CHECKS, **values)
            model = registry.resolve(config.model)
            with (
                AuditInputs(config, model, sources.load(config.data)) as inputs,
                Worker() as worker,
            ):
                if not confined:
                    job = Job(inputs.config, inputs.files)
                    worker.call(open_model, job, seconds=120)
                    answer = worker.call(run, job.name, None, prying_net.logits, seconds=120)
                    return names(answer["result"])
                with Session(inputs, worker) as session:
                    return names(session._model.ask(session.plan, prying_net.logits))

    return make


@pytest.mark.slow
def test_a_model_that_pries_gets_nowhere_in_its_cell(pried, told):
    if not (told.network and told.files):
        pytest.skip(f"this kernel refuses namespaces: {told.refused}")
    assert pried(confined=True) == {"own"}


@pytest.mark.slow
def test_the_same_model_gets_everything_out_of_a_cell(pried):
    found = pried(confined=False)
    assert found >= {"variable", "parent", "network", "folder", "elsewhere", "own"}


@pytest.mark.slow
def test_a_process_that_is_spawned_loses_as_much_as_one_that_is_forked(told, monkeypatch):
    monkeypatch.setenv("OMP_A_CHANGE", "1")  # which the fork server cannot follow
    cell = Cell("0", "It runs code.", ())
    with Worker() as worker:
        assert worker.call(held, seconds=120, cell=cell, gives=Held) == told


_WITH_A_SECRET = """
import json
import prying_net
from audits.execution.cell import Cell
from audits.execution.worker import Worker
if __name__ == "__main__":
    with Worker() as worker:
        told = worker.call(prying_net.found, seconds=120, cell=Cell("0", "", ()))
    print(json.dumps(told))
"""


@pytest.mark.slow
def test_a_variable_from_before_the_start_is_nowhere_in_the_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_WITH_A_SECRET)
    told = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "SOME_TOKEN": SECRET, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout)
    assert found == {"variable": False, "kernel": False, "memory": False}


@pytest.mark.slow
def test_evidence_says_what_the_process_lost(config_of, told):
    notes = evaluated(config_of(logistic(), CHECKS)).notes
    (note,) = [note for note in notes if "may run any code" in note]
    assert note.startswith("The model may run any code, which the auditor has allowed. Its process")
    assert ("no network" in note) == told.network
    assert ("no variables of the environment" in note) == told.variables


@pytest.mark.slow
def test_a_model_that_should_run_no_code_has_a_cell_too(config_of, told):
    config = config_of(logistic(), CHECKS, pickled=False)
    (note,) = [note for note in evaluated(config).notes if "taken for hostile" in note]
    assert ("no other processes" in note) == (told.others and told.processes)


def test_helpers_of_multiprocessing_are_out_of_reach():
    with Worker() as worker:
        assert not worker.call(hostile.has_helpers, seconds=120, cell=Cell("0", "Why."), gives=bool)


def test_each_model_that_runs_code_has_a_process_of_its_own():
    one, other = Cell("1", "", ()), Cell("2", "", ())
    with Worker() as worker:
        first = worker.call(os.getpid, seconds=120, cell=one)
        assert worker.call(os.getpid, seconds=120, cell=one) == first
        folder = Path(worker.call(os.path.expanduser, "~", seconds=120, cell=one))
        assert folder.is_dir()
        pids = {first, worker.call(os.getpid, seconds=120, cell=other)}
        assert not folder.exists(), "the temporary folder outlived its process"
        pids.add(worker.call(os.getpid, seconds=120))
    assert len(pids) == 3


def test_files_that_changed_are_told_if_the_kernel_does_not_keep_them(config_of):
    config = config_of(logistic(), CHECKS)
    inputs = AuditInputs(config, registry.resolve(config.model), sources.load(config.data))
    with inputs, Worker() as worker, Session(inputs, worker) as session:
        session._model.held = Held(variables=True, network=False, files=False, refused="a kernel")
        (check,) = config.checks
        for unit in session.units(check):
            session.measure(check, unit)
        session.conclude(check)
        file = Path(inputs.files.data) / "model.pth"
        file.write_bytes(file.read_bytes() + b"\0")
        with pytest.raises(AuditError, match="the model's files to stay as they were"):
            session.conclude(check)


def test_a_path_below_the_home_is_found_in_the_cell(config_of, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x=images, y=np.arange(20) % 10)
    data = {"kind": "npz", "path": "~/own.npz"}
    net = logistic()
    assert isinstance(net, Linear)
    result = evaluated(config_of(net, CHECKS, data=data))
    assert result.evidence[0].status == "ok"


@pytest.mark.slow
def test_a_layout_of_the_datasets_library_is_read_in_the_cell(config_of, told, tmp_path):
    pytest.importorskip("datasets")
    if not (told.network and told.files):
        pytest.skip(f"this kernel refuses namespaces: {told.refused}")
    rows = ["file_name,label", *(f"{label}.png,{label}" for label in range(10))]
    for label in range(10):
        Image.new("L", (28, 28), 20 * label).save(tmp_path / f"{label}.png")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    (tmp_path / "table").mkdir()
    contents = [(tmp_path / f"{label}.png").read_bytes() for label in range(10)]
    table = pd.DataFrame({"image": contents, "label": [str(label) for label in range(10)]})
    table.to_parquet(tmp_path / "table" / "test.parquet")
    figures = []
    for path in (tmp_path, tmp_path / "table"):
        data = {"kind": "huggingface", "path": str(path)}
        result = evaluated(config_of(logistic(), CHECKS, data=data))
        assert result.evidence[0].status == "ok", result.evidence[0].reason
        assert any("no network" in note for note in result.notes)
        figures.append(result.evidence[0].metrics)
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("PATH", True),
        ("LD_LIBRARY_PATH", True),
        ("OMP_NUM_THREADS", True),
        ("NVIDIA_API_KEY", False),
        ("LD_ACCESS_TOKEN", False),
        ("CUDA_password", False),
        ("MLFLOW_TRACKING_TOKEN", False),
        ("AWS_REGION", False),
    ],
)
def test_a_variable_that_may_be_secret_is_not_kept_whatever_its_beginning(name, kept):
    cell = Cell(subject="", reason="")
    inside = Inside(cell, own="/own", hidden=())
    found = inside.environment({name: "value"})
    assert (name in found) == kept


def test_data_that_are_elsewhere_are_copied_before_and_need_no_network(
    registry, register, tmp_path
):
    uri, sha256 = register(logistic(), "pickled", pickled=True)
    for label in range(10):
        folder = tmp_path / "photos" / str(label)
        folder.mkdir(parents=True)
        Image.new("L", (28, 28), 20 * label).save(folder / "a.png")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "photos"), "photos")
    result = evaluated(
        parse_config(
            {
                "model": uri,
                "data": {"kind": "folder", "path": f"runs:/{run.info.run_id}/photos"},
                "checks": [{"kind": "performance"}],
                "trust_pickle_sha256": sha256,
                "store": str(tmp_path / "store"),
            }
        )
    )
    assert result.evidence[0].status == "ok", result.evidence[0].reason
    assert any("may run any code" in note for note in result.notes)


# It has threads, and no `if __name__ == "__main__"`.
_WITH_THREADS = """
import os
import sys
import torch
torch.ones(500, 500) @ torch.ones(500, 500)
from audits.execution import fork_server
from audits.execution.cell import Cell, Held, held
from audits.execution.worker import Worker
print("the program")
fork_server.start()
if sys.argv[1] == "spawned":
    os.environ["OMP_A_CHANGE"] = "1"  # which the server cannot follow
with Worker() as worker:
    cell = Cell("0", "It runs code.", ())
    print(worker.call(held, seconds=120, cell=cell, gives=Held))
    print(worker.call(os.getppid, seconds=120, cell=cell) == os.getpid())
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["forked", "spawned"])
def test_a_process_does_not_run_the_program_and_loses_its_rights(way, told, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(_WITH_THREADS)
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, str(program), way],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert run.stdout == f"the program\n{told}\n{way == 'spawned'}\n", run.stderr
