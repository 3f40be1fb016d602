"""A model that can be loaded otherwise than it is audited is refused, unless the config knows."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from torch import nn

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust

PLAIN = Preprocessing(range="0-1", size=(8, 8))
TRUSTED = Trust(by_name=True)
EXAMPLE = np.zeros((2, 1, 8, 8), np.float32)


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()


class Zeros(mlflow.pyfunc.PythonModel):
    """Answers 0 for each image."""

    def predict(self, context, model_input, params=None):
        return np.zeros(len(model_input), np.int64)


def _pt2(folder, **arguments):
    mlflow.pytorch.save_model(
        _net(), str(folder), input_example=EXAMPLE, pip_requirements=["torch"], **arguments
    )


def _pickled(folder, **arguments):
    _pt2(folder, serialization_format="pickle", **arguments)


def _onnx(folder, **arguments):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; run pip install onnx")
    file = folder.parent / "net.onnx"
    torch.onnx.export(_net(), (torch.from_numpy(EXAMPLE),), str(file), dynamo=False)
    mlflow.onnx.save_model(
        onnx.load(str(file)),
        str(folder),
        input_example=EXAMPLE,
        pip_requirements=["onnx"],
        **arguments,
    )


def _sklearn(folder, **arguments):
    rows = np.eye(64, dtype=np.float32)[:4]
    mlflow.sklearn.save_model(
        LogisticRegression().fit(rows, [0, 1, 2, 0]),
        str(folder),
        input_example=rows,
        pip_requirements=["scikit-learn"],
        **arguments,
    )


def _pyfunc(folder, **arguments):
    table = folder.parent / "table.json"
    table.write_text("{}")
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=Zeros(),
        artifacts={"table": str(table)},
        input_example=EXAMPLE,
        pip_requirements=["torch"],
        **arguments,
    )


def _pyfunc_of_code(folder, **arguments):
    code = folder.parent / "own_model.py"
    code.write_text(
        "import mlflow\n\n"
        "class Same(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input\n\n"
        "mlflow.models.set_model(Same())\n"
    )
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(code),
        input_example=EXAMPLE,
        pip_requirements=["torch"],
        **arguments,
    )


@pytest.mark.parametrize("save", [_pt2, _pickled, _onnx, _sklearn, _pyfunc, _pyfunc_of_code])
def test_a_model_as_mlflow_saves_it_has_nothing_besides(save, tmp_path):
    code = tmp_path / "helpful.py"
    code.write_text("WORD = 'help'\n")
    folder = tmp_path / "model"
    save(folder, code_paths=[str(code)])
    assert (folder / "code" / "helpful.py").is_file()
    for name in ("uv.lock", "environment_variables.txt", "README.md"):
        (folder / name).write_text("as MLflow writes it")
    (folder / "metadata").mkdir()
    shutil.copy(folder / "MLmodel", folder / "metadata")
    files = inspect(folder, PLAIN, TRUSTED)
    assert files.unserved == ()
    assert len(files.sha256) == sum(file.is_file() for file in folder.rglob("*"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    _pt2(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a pt2 model, with the folder `other` of another network beside its data."""
    copied = Path(shutil.copytree(saved, tmp_path / "model"))
    shutil.copytree(copied / "data", copied / "other")
    return copied


def _edit(folder, change):
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    change(conf["flavors"])
    file.write_text(yaml.safe_dump(conf))


def _entry(name, **fields):
    def change(flavours):
        flavours[name] = {**flavours.get(name, {}), **fields}

    return change


def _without_data(flavours):
    del flavours["python_function"]["data"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_entry("python_function", data="other"), r"'python_function' .*data 'other'"),
        (_entry("python_function", data="data/model.pt2"), r"data 'data/model\.pt2'"),
        (_entry("python_function", data="/etc"), r"data '/etc'"),
        (_entry("python_function", loader_module="evil"), r"loader_module 'evil'"),
        (_entry("python_function", loader_module="mlflow.sklearn"), r"'mlflow\.sklearn'"),
        (_entry("python_function", loader_module=None, data=None), r"flavour 'python_function'"),
        (_entry("python_function", model_path="other"), r"model_path 'other'"),
        (_entry("python_function", config={"function_to_apply": "sigmoid"}), r"with .* config "),
        (_entry("python_function", predict_stream_fn="x"), r"predict_stream_fn 'x'"),
        (_without_data, r"flavour 'python_function' with loader_module 'mlflow\.pytorch'"),
        (_entry("onnx", data="other"), r"flavour 'onnx' with data 'other'"),
        (_entry("sklearn", pickled_model="other/model.pt2"), r"flavour 'sklearn'"),
        (_entry("nobody_knows"), r"flavour 'nobody_knows'"),
        (lambda flavours: None, r"file that no flavour names \(other/model\.pt2\)"),
    ],
)
def test_another_way_to_load_the_model_is_named_and_refused(change, named, folder):
    _edit(folder, change)
    with pytest.raises(ModelRefused, match=named) as refused:
        inspect(folder, PLAIN)
    assert "write `served: pytorch` into the config" in str(refused.value)
    assert "\n" not in str(refused.value)
    files = inspect(folder, PLAIN, served_as=("pytorch",))
    assert (files.flavour, Path(files.data).name) == ("pytorch", "data")
    assert any(word in "; ".join(files.unserved) for word in ("flavour", "file"))


@pytest.mark.parametrize(
    "key",
    ["extra_files", "env", "artifacts", "requirements_file", "pickled_model", "data", "model_path"],
)
def test_a_file_for_the_owners_server_is_told(key, folder):
    shutil.rmtree(folder / "other")
    (folder / "labels.json").write_text('["b", "a"]')
    _edit(folder, _entry("pytorch", **{key: {"path": "labels.json"}}))
    with pytest.raises(ModelRefused, match=r"file that no flavour names \(labels\.json\)"):
        inspect(folder, PLAIN)


def test_texts_that_the_owner_has_added_to_an_archive_are_told(folder):
    shutil.rmtree(folder / "other")
    file = folder / "data" / "model.pt2"
    program = torch.export.load(file)
    torch.export.save(program, file, extra_files={"labels.txt": "b\na", "note": "A word."})
    with pytest.raises(
        ModelRefused, match=r"files in model\.pt2 \(extra/labels\.txt, extra/note\)"
    ):
        inspect(folder, PLAIN)
    assert inspect(folder, PLAIN, served_as=("pytorch",)).unserved


@pytest.mark.parametrize("named", [{"labels": "labels.json"}, {"more": ["labels.json"]}])
def test_a_file_that_the_example_names_beside_itself_is_told(named, folder):
    shutil.rmtree(folder / "other")
    (folder / "labels.json").write_text('["b", "a"]')
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    conf["saved_input_example_info"] |= named
    file.write_text(yaml.safe_dump(conf))
    with pytest.raises(ModelRefused, match=r"file that no flavour names \(labels\.json\)"):
        inspect(folder, PLAIN)


def test_another_mlmodel_is_another_way_though_a_flavour_names_its_folder(folder):
    shutil.copy(folder / "MLmodel", folder / "other")
    _edit(folder, _entry("pytorch", extra_files=[{"path": "other"}]))
    with pytest.raises(ModelRefused, match=r"beside it another MLmodel \(other/MLmodel\)"):
        inspect(folder, PLAIN)


def test_parameters_in_the_signature_are_another_way(folder):
    shutil.rmtree(folder / "other")
    signature = infer_signature(EXAMPLE, params={"function_to_apply": "sigmoid"}).to_dict()
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**conf, "signature": signature}))
    with pytest.raises(ModelRefused, match=r"parameters in the signature \(function_to_apply\)"):
        inspect(folder, PLAIN)
    assert inspect(folder, PLAIN, served_as=("pytorch",)).flavour == "pytorch"


def test_code_that_python_function_alone_has_is_another_way_even_if_it_may_run(folder):
    shutil.rmtree(folder / "other")
    (folder / "code").mkdir()
    (folder / "code" / "helpful.py").write_text("WORD = 'help'\n")
    _edit(folder, _entry("python_function", code="code"))
    with pytest.raises(ModelRefused, match=r"flavour 'python_function' with .* code 'code'"):
        inspect(folder, PLAIN, TRUSTED)
    _edit(folder, _entry("pytorch", code="code"))
    assert inspect(folder, PLAIN, TRUSTED).unserved == ()


@pytest.mark.parametrize(
    "path",
    ["more.pt2", "metadata/model.pth", "wheels/run.py", "data.old/MLmodel", "data/more", ".hidden"],
)
def test_a_file_that_no_flavour_names_is_told_wherever_it_lies(path, folder):
    shutil.rmtree(folder / "other")
    assert inspect(folder, PLAIN).unserved == ()
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("no word")
    with pytest.raises(ModelRefused, match="file that no flavour names") as refused:
        inspect(folder, PLAIN)
    assert path in str(refused.value)


def test_the_flavour_that_is_served_is_the_one_that_is_audited(folder):
    _edit(folder, _entry("python_function", data="other"))
    with pytest.raises(ModelRefused, match="can run any code"):
        inspect(folder, PLAIN, served_as=("python_function",))
    pyfunc = inspect(folder, PLAIN, TRUSTED, ("python_function",))
    torch2 = inspect(folder, PLAIN, TRUSTED, ("onnx", "pytorch"))  # the first that it has
    assert (pyfunc.flavour, torch2.flavour) == ("python_function", "pytorch")
    assert pyfunc.sha256 == torch2.sha256
    assert pyfunc.digest != torch2.digest
    assert "flavour 'pytorch' with model_data 'data'" in pyfunc.unserved
    with pytest.raises(ModelRefused, match=r"`served` names, onnx, got flavours python_function"):
        inspect(folder, PLAIN, served_as=("onnx",))
