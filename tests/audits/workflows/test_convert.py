"""A converted model is a pt2 that answers as the old one; what cannot be converted is refused."""

import os
import time
from pathlib import Path
from urllib.parse import urlparse

import adapted_nets
import mlflow
import numpy as np
import pytest
import torch
from simple_nets import logistic

from audits import AuditError, parse_config
from audits.models import registry
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.workflows import convert as module
from audits.workflows.convert import CONVERTED_TAG, convert
from flows.cli import main


def _config(model, **values):
    base = {"data": {"kind": "digits"}, "checks": [{"kind": "performance"}]}
    return parse_config({"model": model, **base, **values})


def _place(uri):
    """The folder in which MLflow keeps the files of a version."""
    logged = mlflow.get_logged_model(registry.resolve(uri).model_id)
    return urlparse(logged.artifact_location).path


def _loaded(uri, tmp_path):
    return mlflow.pytorch.load_model(uri, dst_path=str(tmp_path))


@pytest.mark.slow
def test_a_pickle_becomes_a_pt2_that_needs_no_trust(shared_registry, register, tmp_path):
    net = logistic()
    uri, sha256 = register(net, "pickled", pickled=True)
    done = convert(_config(uri, trust_pickle_sha256=sha256))
    assert (done.uri, done.images) == ("models:/pickled/2", 64)
    assert done.difference < 1e-5
    version = mlflow.MlflowClient().get_model_version("pickled", "2")
    assert version.tags[CONVERTED_TAG] == uri
    assert version.description.startswith(f"{uri} as a pt2. On 64 images")
    files = inspect(registry.fetch(registry.resolve(done.uri), tmp_path), Preprocessing())
    assert not files.trusted
    assert files.contract.questions == ()
    assert (files.contract.mean, files.contract.std) == ((0.3,), (0.35,))
    assert files.classes == tuple("0123456789")


class _GoesOn:
    """Unpickled, it makes a thread that writes into the folder of the pt2, and never ends."""

    CODE = """
import os, threading, time
from pathlib import Path
import mlflow.pytorch
save_model = mlflow.pytorch.save_model

def save(net, folder, **settings):
    save_model(net, folder, **settings)
    def write():
        for number in range(1_000_000):
            Path(folder, "number").write_text(str(number))
            time.sleep(0.01)
    threading.Thread(target=write, daemon=True).start()

if os.getpid() != tests:  # a copy is made here too
    mlflow.pytorch.save_model = save
"""

    def __reduce__(self):
        return exec, (self.CODE, {"tests": os.getpid()})


@pytest.mark.slow
def test_the_process_of_the_model_has_ended_when_the_pt2_is_looked_at(
    shared_registry, register, monkeypatch
):
    net = logistic()
    net.thread = _GoesOn()
    uri, sha256 = register(net, "going-on", pickled=True)
    numbers = []

    def inspected(folder, preprocessing):
        for _ in range(2):
            numbers.append((folder / "number").read_bytes())
            time.sleep(1)
        (folder / "number").unlink()
        return inspect(folder, preprocessing)

    monkeypatch.setattr(module, "inspect", inspected)
    convert(_config(uri, trust_pickle_sha256=sha256))
    first, second = numbers
    assert first == second


@pytest.mark.slow
def test_probabilities_become_logits_and_the_batch_is_free(shared_registry, register, tmp_path):
    net = logistic()
    uri, _ = register(adapted_nets.Softmax(net), "probable")
    done = convert(_config(uri), name="plain")
    assert done.uri == "models:/plain/1"
    found = _loaded(done.uri, tmp_path)
    x = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
    wanted = net(torch.from_numpy(x)).log_softmax(1)
    torch.testing.assert_close(found(torch.from_numpy(x)), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "probabilities"])
def test_torchscript_becomes_a_pt2(wrapped, shared_registry, register):
    net = adapted_nets.Softmax(logistic()) if wrapped else logistic()
    traced = torch.jit.trace(net.eval(), torch.zeros(2, 1, 28, 28))
    uri, sha256 = register(traced, f"traced-{wrapped}", pickled=True)
    done = convert(_config(uri, trust_pickle_sha256=sha256))
    assert done.difference < 1e-4
    assert not inspect(Path(mlflow.artifacts.download_artifacts(done.uri)), Preprocessing()).trusted


@pytest.mark.slow
def test_a_contract_with_open_questions_is_not_made_to_look_named(shared_registry, register):
    net, name = logistic(), "nameless"
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            net,
            name="model",
            input_example=np.zeros((2, 1, 28, 28), np.float32),
            pip_requirements=["torch"],
            registered_model_name=name,
            serialization_format="pt2",
        )
    uri = f"models:/{name}/{info.registered_model_version}"
    with pytest.raises(AuditError, match=r"set preprocessing\.range"):
        convert(_config(uri))
    done = convert(_config(uri, preprocessing={"range": "0-1"}))
    conf = mlflow.models.Model.load(done.uri)
    assert conf.metadata == {"preprocessing": {"range": "0-1"}}


def test_a_copy_that_is_cut_off_leaves_no_model_that_looks_whole(
    shared_registry, register, monkeypatch
):
    uri, _ = register(logistic(), "cut-off")

    def cut_off(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.MlflowClient, "log_model_artifacts", cut_off)
    with pytest.raises(KeyboardInterrupt):
        convert(_config(uri))
    (newest,) = mlflow.search_logged_models(
        order_by=[{"field_name": "creation_timestamp", "ascending": False}],
        max_results=1,
        output_format="list",
    )
    assert newest.status == "FAILED"
    assert len(registry.versions_of("cut-off")) == 1


def test_a_network_without_a_gradient_is_refused(shared_registry, register):
    uri, _ = register(adapted_nets.Detached(logistic()), "detached")
    with pytest.raises(AuditError, match="Expected a model that torch can export, got one that"):
        convert(_config(uri))
    assert len(registry.versions_of("detached")) == 1


@pytest.mark.parametrize(
    ("rows", "batch", "told"),
    [
        (2, torch.export.Dim("batch", max=128), "1 to 128. Audit it as it is, or export the net"),
        (4, torch.export.Dim("batch", min=3), "3 or more. Audit it as it is, or export the netw"),
        (8, None, "8 at a time. Export the network itself with an example of 2 rows"),
    ],
)
def test_a_bounded_batch_gets_the_advice_for_its_kind(rows, batch, told, shared_registry, register):
    net = logistic().eval()
    uri, _ = register(net, f"bounded-{rows}")
    (stored,) = Path(_place(uri)).rglob("*.pt2")
    shapes = None if batch is None else ({0: batch},)
    example = (torch.zeros(rows, 1, 28, 28),)
    torch.export.save(torch.export.export(net, example, dynamic_shapes=shapes), str(stored))
    with pytest.raises(AuditError, match=told):
        convert(_config(uri))
    assert len(registry.versions_of(f"bounded-{rows}")) == 1


def test_the_command_says_what_it_registered(shared_registry, register, capsys):
    uri, _ = register(logistic(), "commanded")
    file = "digits.npz"
    assert main(["convert", uri, "--data", file]) == 2
    assert "Expected a folder or a file at digits.npz" in capsys.readouterr().err
