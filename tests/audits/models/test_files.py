"""Models are found by their URI and judged by their files, and none of their code runs."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from sklearn.linear_model import LogisticRegression
from torch import nn

from audits import AuditError
from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.registry import fetch, resolve
from audits.models.trust import Trust

METADATA = {"mean": [0.3], "std": 0.35, "classes": list("0123456789")}
PLAIN = Preprocessing()


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()


def _log(registry_name="digits", rows=2, **arguments):
    with mlflow.start_run():
        return mlflow.pytorch.log_model(
            _net(),
            name="model",
            input_example=np.zeros((rows, 1, 8, 8), np.float32),
            metadata=METADATA,
            pip_requirements=["torch"],
            registered_model_name=registry_name,
            **arguments,
        )


@pytest.fixture(scope="module")
def store(shared_registry, tmp_path_factory):
    """Registers digits (1 pt2, 2 pickle, 3 pt2 of one row, 4 pt2 with code) and trees (sklearn)."""
    code = tmp_path_factory.mktemp("code") / "helpful.py"
    code.write_text("raise SystemExit('the code of the model ran')")
    logged = [
        _log(),
        _log(serialization_format="pickle"),
        _log(rows=1),
        _log(code_paths=[str(code)]),
    ]
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
            name="model",
            serialization_format="pickle",
            pip_requirements=["scikit-learn"],
            registered_model_name="trees",
        )
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "champion", "2")
    client.create_registered_model("empty")
    return logged


@pytest.fixture(scope="module")
def fetched(store, tmp_path_factory):
    """The files of each model, by its URI without models:/."""
    folder = tmp_path_factory.mktemp("fetched")
    uris = ["digits/1", "digits/2", "digits/3", "digits/4", "trees/1"]
    for uri in uris:
        fetch(resolve(f"models:/{uri}"), folder / uri)
    return {uri: folder / uri for uri in uris}


@pytest.fixture
def copy(fetched, tmp_path):
    """A copy of the good model, for tests that change it."""
    return Path(shutil.copytree(fetched["digits/1"], tmp_path / "model"))


def test_a_version_an_alias_and_the_latest_are_pinned(store):
    first = resolve("models:/digits/1")
    assert (first.uri, first.name, first.version) == ("models:/digits/1", "digits", "1")
    assert first.model_id == store[0].model_id
    assert str(first) == "digits v1"
    assert resolve("models:/digits@champion").uri == "models:/digits/2"
    assert resolve("models:/digits@champion").model_id == store[1].model_id
    assert resolve("models:/digits/latest").uri == "models:/digits/4"


def test_the_latest_is_by_number_and_not_by_text(registry):
    client = mlflow.MlflowClient()
    client.create_registered_model("many")
    for _ in range(10):
        client.create_model_version("many", "file:///nowhere")
    assert resolve("models:/many/latest").version == "10"
    assert resolve("models:/many/latest").model_id is None


def test_a_logged_model_is_found_by_its_id(store):
    uri = f"models:/{store[0].model_id}"
    found = resolve(uri)
    assert (found.uri, found.version, found.model_id) == (uri, None, store[0].model_id)


@pytest.mark.parametrize(("end", "cure"), [("PENDING", "Wait"), ("FAILED", "Register it again")])
def test_a_logged_model_that_is_not_all_there_is_refused_in_one_line(end, cure, store):
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("training").experiment_id
    model_id = client.create_logged_model(experiment, name="begun").model_id
    if end != "PENDING":
        client.finalize_logged_model(model_id, end)
    with pytest.raises(AuditError, match=rf"got models:/{model_id} with '{end}'\. {cure}"):
        resolve(f"models:/{model_id}")
    client.finalize_logged_model(model_id, "READY")
    assert resolve(f"models:/{model_id}").model_id == model_id


@pytest.mark.parametrize(
    "uri",
    [
        "digits/1",
        "models:/",
        "models:/digits",
        "models:/digits/",
        "models:/digits/1.0",
        "models:/digits/Production",
        "models:/digits/1/2",
        "models:/digits@",
        "models:/digits@a@",
        "models:/@a",
        "models:/digits@a/b",
        "models:/digits/1\n",
        "models:/digits/99999999999999999999",  # no database has such a number
        "models:/m-0123",
        "runs:/0123/model",
        "",
    ],
)
def test_what_is_no_uri_of_a_model_is_refused(uri):
    with pytest.raises(AuditError, match="Expected models:/<name>/<version>") as refused:
        resolve(uri)
    assert repr(uri) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/digits/99",
        "models:/digits@nobody",
        "models:/nobody/1",
        "models:/nobody@champion",
        "models:/digits@a@champion",  # an alias of the name digits@a
        "models:/nobody/latest",
        "models:/empty/latest",
        f"models:/m-{'0' * 32}",
    ],
)
def test_what_is_not_in_the_registry_is_said_in_one_line(uri, store):
    with pytest.raises(AuditError, match=r"Expected a (model|version)") as refused:
        resolve(uri)
    assert "found none" in str(refused.value)
    assert "\n" not in str(refused.value)


def _rewrite(folder, **changes):
    file = folder / "MLmodel"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))
    return folder


def test_another_flavour_is_refused(copy):
    with pytest.raises(ModelRefused, match=r"flavour pytorch or .* or .*, got flavours diviner"):
        inspect(_rewrite(copy, flavors={"diviner": {}}), PLAIN)


def test_a_model_with_code_is_refused(fetched):
    with pytest.raises(ModelRefused, match="Expected a model without code of its own, got code"):
        inspect(fetched["digits/4"], PLAIN)


@pytest.mark.parametrize("place", ["..", "../other", "/tmp", "."])
def test_data_outside_the_models_folder_is_refused(place, copy):
    shutil.copytree(copy / "data", copy.parent / "other")
    flavours = yaml.safe_load((copy / "MLmodel").read_text())["flavors"]
    flavours["pytorch"]["model_data"] = place
    with pytest.raises(ModelRefused, match="Expected the model's data inside its folder"):
        inspect(_rewrite(copy, flavors=flavours), PLAIN)


def test_files_that_are_no_model_are_refused(copy):
    (copy / "data" / "model.pt2").unlink()
    with pytest.raises(ModelRefused, match=r"Expected model\.pt2 or model\.pth"):
        inspect(copy, PLAIN)
    (copy / "MLmodel").unlink()
    with pytest.raises(ModelRefused, match="Expected"):
        inspect(copy, PLAIN)


def test_a_pickle_needs_the_sha256_of_the_very_file(fetched, tmp_path):
    folder = shutil.copytree(fetched["digits/2"], tmp_path / "model")
    file = folder / "data" / "model.pth"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ModelRefused, match=f"got model.pth, .* trust_pickle_sha256: {sha256}$"):
        inspect(folder, PLAIN)
    with pytest.raises(ModelRefused, match=f"trust_pickle_sha256: {sha256}, not {'0' * 8}"):
        inspect(folder, PLAIN, Trust(sha256=("0" * 64,)))
    assert inspect(folder, PLAIN, Trust(sha256=(sha256,))).trusted
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelRefused, match=f", not {sha256[:8]}"):
        inspect(folder, PLAIN, Trust(sha256=(sha256,)))


def test_a_pickle_module_of_the_models_own_is_refused(fetched, tmp_path):
    folder = shutil.copytree(fetched["digits/2"], tmp_path / "model")
    sha256 = hashlib.sha256((folder / "data" / "model.pth").read_bytes()).hexdigest()
    (folder / "data" / "pickle_module_info.txt").write_text("os")
    with pytest.raises(ModelRefused, match=r"Expected a pickle module among .*, got 'os'"):
        inspect(folder, PLAIN, Trust(sha256=(sha256,)))
    (folder / "data" / "pickle_module_info.txt").unlink()
    with pytest.raises(ModelRefused, match="Expected a pickle module"):
        inspect(folder, PLAIN, Trust(sha256=(sha256,)))


def test_the_digest_is_of_the_whole_folder(copy):
    digests = [inspect(copy, PLAIN).digest]

    def changed():
        digests.append(inspect(copy, PLAIN).digest)
        return len(set(digests)) == len(digests)

    _rewrite(copy, run_id="other")
    assert changed()
    _rewrite(copy, metadata={**METADATA, "mean": [0.4]})
    assert changed()
    (copy / "README.md").write_text("A word.")
    assert changed()
    (copy / "README.md").rename(copy / "LICENSE.txt")
    assert changed()
    (copy / "requirements.txt").unlink()
    assert changed()
    before, served = inspect(copy, PLAIN).digest, ("pytorch",)
    with zipfile.ZipFile(copy / "data" / "model.pt2", "a") as archive:
        archive.writestr("model/extra/note", b"another byte")
    assert inspect(copy, PLAIN, served_as=served).digest != before


def test_loading_a_version_from_this_disk_changes_no_digest(copy):
    """MLflow's client writes name and version into the folder, if it needs no copy of it."""
    before, meta = inspect(copy, PLAIN), copy / "registered_model_meta"
    meta.write_text("model_name: digits\nmodel_version: '3'\n")
    assert inspect(copy, PLAIN).digest == before.digest
    for other in ("model_name: digits\n", "model_name: [1]\nmodel_version: '3'\n", "[", "x" * 5000):
        meta.write_text(other)
        assert inspect(copy, PLAIN).digest != before.digest
    (copy / "data" / "registered_model_meta").write_text("model_name: x\nmodel_version: '3'\n")
    with pytest.raises(ModelRefused, match=r"no flavour names \(data/registered_model_meta\)"):
        inspect(copy, PLAIN)


def _link(folder):
    (folder / "data" / "more").symlink_to("/etc/passwd")


def _linked_folder(folder):
    (folder / "more").symlink_to("data")


def _pipe(folder):
    os.mkfifo(folder / "more")


@pytest.mark.parametrize("change", [_link, _linked_folder, _pipe])
def test_links_and_pipes_are_refused_whatever_they_are_called(change, copy):
    change(copy)
    with pytest.raises(ModelRefused, match=r"Expected plain files .*'more'") as refused:
        inspect(copy, PLAIN)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_that_cannot_be_read_is_named(copy):
    (copy / "requirements.txt").chmod(0)
    with pytest.raises(ModelRefused, match=r"files that can be read .*'requirements\.txt'"):
        inspect(copy, PLAIN)
