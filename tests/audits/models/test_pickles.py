"""Pickles as people register them, trusted by name: they load, or one line says what to do."""

import pickle
import shutil
import sys
from pathlib import Path

import cloudpickle
import mlflow
import numpy as np
import pytest
import torch
import yaml
from simple_nets import Linear
from torch import nn

from audits import parse_config
from audits.errors import ModelRefused
from audits.execution.child import Job, open_model
from audits.execution.setting import Setting
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.registry import Resolved
from audits.models.trust import Trust, trust_in

METADATA = {"mean": [0.3], "std": [0.35], "classes": list("0123456789")}
BY_NAME = Trust("models:/digits/1", "digits", by_name=True)
CONFIG = {
    "model": "models:/digits/1",
    "data": {"kind": "digits"},
    "checks": [{"kind": "performance"}],
    "device": "cpu",
}


def _net():
    return Linear(torch.zeros(10, 784), torch.arange(10.0))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pickled model, to be copied."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    _save(folder, _net())
    return folder


def _save(folder, net, **arguments):
    mlflow.pytorch.save_model(
        net,
        str(folder),
        input_example=np.zeros((2, 1, 28, 28), np.float32),
        metadata=METADATA,
        serialization_format="pickle",
        **{"pip_requirements": ["torch"], **arguments},
    )


@pytest.fixture
def model(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _open(worker, folder, trust=BY_NAME):
    files = inspect(folder, Preprocessing(), trust)
    return worker.call(open_model, Job(parse_config(CONFIG), files), seconds=120, gives=Setting)


def _refused(worker, folder):
    with pytest.raises(ModelRefused) as refused:
        _open(worker, folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def _pickled(folder, net, module):
    """Replaces the pickle; `module` wrote it."""
    torch.save(net, folder / "data" / "model.pth", pickle_module=module)
    (folder / "data" / "pickle_module_info.txt").write_text(module.__name__)
    return folder


def test_trust_by_name_needs_no_digest(model, worker):
    assert _open(worker, model).dtype == "float32"
    (model / "data" / "model.pth").write_bytes(b"another")
    assert inspect(model, Preprocessing(), BY_NAME).trusted


@pytest.mark.parametrize("module", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_whole_modules_of_any_pickle_module_load(module, model, worker):
    assert _open(worker, _pickled(model, _net(), module)).dtype == "float32"


def test_a_class_inside_a_function_loads_by_cloudpickle(model, worker):
    class Local(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(784, 10)

        def forward(self, x):
            return self.head(x.flatten(1))

    assert _open(worker, _pickled(model, Local(), cloudpickle)).dtype == "float32"


def test_without_trust_the_three_ways_out_are_told(model, monkeypatch):
    monkeypatch.setenv("FILLBLANKS_SETTINGS", "/home/somebody/.config/own.yaml")
    with pytest.raises(ModelRefused) as refused:
        inspect(model, Preprocessing(), Trust("models:/digits/1", "digits"))
    told = str(refused.value)
    assert "\n" not in told
    assert told.startswith(
        "Expected a model that runs no code, got model.pth, which can run any code"
    )
    assert "Have it logged as pt2" in told
    assert " ... " not in told  # nothing of it is left out
    assert 'write `trust: {models: ["digits"]}` into /home/somebody/.config/own.yaml' in told
    assert "set trust_pickle_sha256: " in told


@pytest.mark.parametrize("name", ["123", "no", "m: x", "*", "a[b]c", 'say "yes"'])
def test_the_line_of_trust_works_for_every_name_and_for_no_other(name, monkeypatch, tmp_path):
    line = Trust(name=name).name_line
    file = tmp_path / "own.yaml"
    file.write_text(line.split("`")[1])
    file.chmod(0o600)
    monkeypatch.setenv("FILLBLANKS_SETTINGS", str(file))
    assert trust_in(Resolved("models:/x/1", name, "1", None)).by_name
    assert not trust_in(Resolved("models:/x/1", f"{name}-other", "1", None)).by_name


def _in_main(folder, name="Net"):
    """A pickle by reference to a class of the training script."""
    net = _net()
    kind = type(name, (Linear,), {"__module__": "__main__"})
    net.__class__ = kind
    main = sys.modules["__main__"]
    setattr(main, name, kind)
    try:
        return _pickled(folder, net, pickle)
    finally:
        delattr(main, name)


def test_a_class_of_the_training_script_is_named(model, worker):
    told = _refused(worker, _in_main(model))
    assert "'Net', a class of the training script itself" in told
    assert "cloudpickle" in told


def _of_module(folder, monkeypatch, name):
    """A pickle of a class in a module that the child process does not have."""
    module = type(sys)(name)
    kind = type("Net", (Linear,), {"__module__": name})
    module.Net = kind
    net = _net()
    net.__class__ = kind
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        _pickled(folder, net, pickle)
    return folder


def test_a_module_of_the_trainer_is_named(model, worker, monkeypatch):
    told = _refused(worker, _of_module(model, monkeypatch, "trainers_own"))
    assert "the module 'trainers_own', which the model needs, found none" in told
    assert "code_paths" in told


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("absent_package", "absent-package==1.2.3"),
        ("cv2", "opencv-python-headless==4.10.0.84"),
        ("pytorch_absent", "pytorch-absent>=2.4,<3"),
    ],
)
def test_a_missing_package_is_told_with_the_line_of_the_models_requirements(
    module, line, model, worker, monkeypatch
):
    (model / "requirements.txt").write_text(f"# made by hand\n-i https://index\ntorch\n{line}\n")
    told = _refused(worker, _of_module(model, monkeypatch, module))
    assert told.endswith(f"Run pip install '{line}'.")
    assert repr(module) in told


def test_a_release_that_lacks_a_class_is_told(model, worker, monkeypatch):
    (model / "requirements.txt").write_text("scikit-learn==0.1\n")
    told = _refused(worker, _of_module(model, monkeypatch, "sklearn"))
    assert "Expected a release of sklearn that fits the model, got scikit-learn " in told
    assert told.endswith("Run pip install 'scikit-learn==0.1'.")


def test_weights_without_a_network_are_named(model, worker):
    _pickled(model, _net().state_dict(), pickle)
    told = _refused(worker, model)
    assert "got OrderedDict. Log the network itself, not its state_dict" in told


def test_a_folder_of_weights_is_no_model(tmp_path):
    mlflow.pytorch.save_state_dict(_net().state_dict(), str(tmp_path))
    with pytest.raises(ModelRefused, match=r"got a state_dict\.pth, which has weights and no net"):
        inspect(tmp_path, Preprocessing())


@pytest.fixture(scope="module")
def with_code(tmp_path_factory):
    """A pickle by reference to a module that the model brings."""
    folder = tmp_path_factory.mktemp("code")
    package = folder / "brought_along.py"
    package.write_text(
        "from torch import nn\n\n"
        "class Brought(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = nn.Linear(784, 10)\n\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(1))\n"
    )
    sys.path.insert(0, str(folder))
    try:
        from brought_along import Brought

        _save(folder / "model", Brought(), code_paths=[str(package)])
    finally:
        sys.path.remove(str(folder))
        del sys.modules["brought_along"]
    return folder / "model"


def test_a_model_with_code_is_trusted_by_name_alone(with_code, worker):
    with pytest.raises(ModelRefused, match=r'without code of its own, .*models: \["digits"\]'):
        inspect(with_code, Preprocessing(), Trust("", "digits", sha256=("0" * 64,)))
    files = inspect(with_code, Preprocessing(), BY_NAME)
    assert files.trusted
    assert _open(worker, with_code).dtype == "float32"


def test_code_is_part_of_the_models_digest(with_code, tmp_path):
    copy = Path(shutil.copytree(with_code, tmp_path / "model"))
    before = inspect(copy, Preprocessing(), BY_NAME).digest
    (file,) = copy.rglob("brought_along.py")
    file.write_text(file.read_text() + "# changed\n")
    assert inspect(copy, Preprocessing(), BY_NAME).digest != before


def test_code_outside_the_models_folder_is_refused(with_code, tmp_path):
    copy = Path(shutil.copytree(with_code, tmp_path / "model"))
    conf = yaml.safe_load((copy / "MLmodel").read_text())
    conf["flavors"]["pytorch"]["code"] = "../.."
    (copy / "MLmodel").write_text(yaml.safe_dump(conf))
    with pytest.raises(ModelRefused, match="inside its folder"):
        inspect(copy, Preprocessing(), BY_NAME)
