"""The worker opens models that fit, and refuses models that would run code of their own."""

import hashlib
import io
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from audits import AuditError, parse_config
from audits.errors import ModelRefused
from audits.execution.child import Job, open_model
from audits.execution.setting import Setting
from audits.models.files import inspect
from audits.models.form import Adaptation, Form
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust

METADATA = {"mean": [0.3], "std": [0.35], "classes": list("0123456789")}
GUARDS = ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_ALLOW_MODEL_CODE_EXECUTION")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Three saved models of one network: a pt2, a pickle, a pt2 whose example had one row."""
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    for name, rows, serialization in (
        ("pt2", 2, "pt2"),
        ("pickle", 2, "pickle"),
        ("row", 1, "pt2"),
    ):
        mlflow.pytorch.save_model(
            net,
            str(folder / name),
            input_example=np.zeros((rows, 1, 8, 8), np.float32),
            metadata=METADATA,
            pip_requirements=["torch"],
            serialization_format=serialization,
        )
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """Copies one of the saved models, for tests that change it."""

    def make(name):
        return Path(shutil.copytree(saved / name, tmp_path / name))

    return make


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def _evil_bytes(marker):
    buffer = io.BytesIO()
    torch.save(Evil(marker), buffer)
    return buffer.getvalue()


def _inspect(folder, trust=None, **preprocessing):
    return inspect(folder, Preprocessing(**preprocessing), Trust(sha256=(trust,) if trust else ()))


def _open(worker, files, **values):
    base = {
        "model": "models:/digits/1",
        "data": {"kind": "digits", "size": 8},
        "checks": [{"kind": "performance"}],
        "device": "cpu",
    }
    return worker.call(
        open_model, Job(parse_config({**base, **values}), files), seconds=120, gives=Setting
    )


def _sha256(folder):
    return hashlib.sha256((folder / "data" / "model.pth").read_bytes()).hexdigest()


def _refused(worker, files, error=ModelRefused, **values):
    """Opens a model that must be refused; returns the error, which must be one line."""
    with pytest.raises(error) as refused:
        _open(worker, files, **values)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_pt2_opens_and_says_how_it_runs(saved, worker):
    setting = _open(worker, _inspect(saved / "pt2"))
    assert setting == Setting(
        device="cpu",
        dtype="float32",
        torch=torch.__version__,
        speed=setting.speed,
        by_mlflow="alike",
    )


def test_numbers_of_classes_that_other_numbers_name_are_refused(worker, tmp_path):
    class Numbers(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1)).argmax(1)

    torch.manual_seed(0)
    net = Numbers(64, 10).eval()
    numbers = [str(n) for n in range(10)]
    for name, classes in (("plain", numbers), ("turned", [*numbers[1:], "0"])):
        mlflow.pytorch.save_model(
            net,
            str(tmp_path / name),
            input_example=np.zeros((2, 1, 8, 8), np.float32),
            metadata={**METADATA, "classes": classes},
            pip_requirements=["torch"],
            serialization_format="pt2",
        )
    assert _open(worker, _inspect(tmp_path / "plain")).dtype == "float32"
    found = _refused(worker, _inspect(tmp_path / "turned"), AuditError)
    assert "the model gives the number of a class, got the name '1' at index 0" in found


def test_a_trusted_pickle_opens_and_trust_ends_with_it(saved, copy, worker, tmp_path):
    files = _inspect(saved / "pickle", trust=_sha256(saved / "pickle"))
    assert _open(worker, files).dtype == "float32"
    spoilt = copy("pt2")
    files = _inspect(spoilt)
    _put_evil_into(spoilt / "data" / "model.pt2", tmp_path / "ran")
    assert "Expected an example of inputs that is tensors alone" in _refused(worker, files)
    assert not (tmp_path / "ran").exists()


def _put_evil_into(archive, marker):
    """Replaces the example that torch.export unpickles by a pickle that runs code."""
    with zipfile.ZipFile(archive) as old:
        records = {name: old.read(name) for name in old.namelist()}
    (example,) = [name for name in records if "sample_inputs" in name]
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in records.items():
            new.writestr(name, _evil_bytes(marker) if name == example else content)


def test_a_crafted_pt2_is_refused_and_runs_nothing(copy, worker, tmp_path):
    folder, marker = copy("pt2"), tmp_path / "ran"
    files = _inspect(folder)
    _put_evil_into(folder / "data" / "model.pt2", marker)
    with pytest.raises(ModelRefused, match="Expected an example of inputs that is tensors alone"):
        _inspect(folder)
    # The worker reads the archive itself, so one that was changed after the inspection is refused.
    assert "Expected an example of inputs that is tensors alone" in _refused(worker, files)
    assert not marker.exists()
    with suppress(Exception):
        torch.export.load(folder / "data" / "model.pt2")
    assert marker.exists(), "the archive was harmless and this test proved nothing"


def test_a_crafted_pickle_is_refused_and_runs_nothing(copy, worker, tmp_path):
    folder, marker = copy("pickle"), tmp_path / "ran"
    good = _sha256(folder)
    (folder / "data" / "model.pth").write_bytes(_evil_bytes(marker))
    with pytest.raises(ModelRefused, match=r"Expected a model that runs no code, got model\.pth"):
        _inspect(folder, trust=good)
    assert not marker.exists()
    torch.load(folder / "data" / "model.pth", weights_only=False)
    assert marker.exists(), "the pickle was harmless and this test proved nothing"


def test_a_pickle_that_comes_after_the_inspection_runs_nothing(copy, worker, tmp_path):
    folder, marker = copy("pt2"), tmp_path / "ran"
    files = _inspect(folder)
    (folder / "data" / "model.pth").write_bytes(_evil_bytes(marker))
    (folder / "data" / "pickle_module_info.txt").write_text("pickle")
    assert "got model.pth beside them" in _refused(worker, files)
    assert not marker.exists()


def test_the_guards_are_set_in_the_worker_and_not_here(saved, worker):
    before = {name: os.environ.get(name) for name in GUARDS}
    _open(worker, _inspect(saved / "pt2"))
    assert {name: os.environ.get(name) for name in GUARDS} == before
    assert [worker.call(os.getenv, name, seconds=60) for name in GUARDS] == ["false", "false"]


def test_a_pt2_of_one_row_takes_one_image_at_a_time_and_says_so(saved, worker):
    setting = _open(worker, _inspect(saved / "row"))
    assert setting.model == Adaptation(outputs=Form(rows="one at a time"))
    assert setting.gives == "gradients"
    note, _ = setting.notes
    assert "one at a time, which is slow" in note
    assert "at least 2 rows" in note
    assert "\n" not in note


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"std": [0.0]}, "Expected std of up to 3 numbers from 1e-06 to 1e+06, got (0.0,)"),
        ({"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0]}, "Expected mean and std of one length"),
        ({"mean": [0.1, 0.2, 0.3]}, "Expected images of 3 channels, as mean and std have, got 1"),
    ],
)
def test_a_normalisation_that_makes_no_sense_is_refused(metadata, message, copy, worker):
    folder = copy("pt2")
    file = folder / "MLmodel"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "metadata": metadata}))
    try:
        files = _inspect(folder)
    except ModelRefused as refused:
        assert message in str(refused)  # noqa: PT017
    else:
        assert message in _refused(worker, files)


def test_classes_that_are_not_the_datas_are_refused(saved, worker):
    files = _inspect(saved / "pt2", classes=tuple("abcdefghi"))
    reason = _refused(worker, files, AuditError)
    assert reason.startswith("Expected classes that the model knows (a, b, c, d, e, ...), got '9'")
    files = _inspect(saved / "pt2", classes=tuple("0123456789X"))
    assert "logits of 11 classes, as matched to the data, got 10" in _refused(worker, files)


@pytest.fixture
def nameless(copy):
    """Files of a model with 10 logits whose names and number are in no file of it."""
    folder = copy("pt2")
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    conf["signature"]["outputs"] = None
    file.write_text(yaml.safe_dump({**conf, "metadata": None}))
    files = _inspect(folder)
    assert (files.classes, files.logits) == (None, None)
    return files


def _npz(folder, labels, **names):
    np.savez(folder / "x.npz", x=np.zeros((len(labels), 8, 8), np.uint8), y=labels, **names)
    return {"kind": "npz", "path": str(folder / "x.npz"), **{name: name for name in names}}


def test_a_model_without_names_must_have_as_many_classes_as_the_data(nameless, worker, tmp_path):
    data = _npz(tmp_path, [0, 1], classes=["cat", "dog"])
    reason = _refused(worker, nameless, data=data)
    assert "Expected logits of 2 classes, as matched to the data, got 10" in reason
    assert "preprocessing.classes" in reason


def test_numbers_need_a_logit_each_and_not_more(nameless, worker, tmp_path):
    _open(worker, nameless, data=_npz(tmp_path, [0, 1]))
    _open(worker, nameless, data=_npz(tmp_path, [9, 2]))
    reason = _refused(worker, nameless, data=_npz(tmp_path, [0, 10]))
    assert reason.startswith("Expected at least 11 logits, ")
    assert reason.endswith("under preprocessing.class_map.")


def test_a_thousand_names_of_which_one_stands_twice_are_read(copy):
    names = [f"class {i}" for i in range(1000)]
    names[134] = names[517] = "crane"
    file = copy("pt2") / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**conf, "metadata": {"classes": names}}))
    assert _inspect(file.parent).classes == tuple(names)


def test_a_bad_classes_file_is_told_as_what_it_is(saved, tmp_path):
    with pytest.raises(AuditError, match=r"class names at preprocessing\.classes_file"):
        _inspect(saved / "pt2", classes_file=str(tmp_path / "none.txt"))


def test_the_signature_tells_the_number_of_logits(saved):
    assert _inspect(saved / "pt2").logits == 10


def test_the_class_map_is_used_where_the_model_is(saved, worker, tmp_path):
    data = _npz(tmp_path, [0, 1], classes=["zero", "nine"])
    files = _inspect(saved / "pt2")
    chosen = {"class_map": {"zero": "0", "nine": 9}}
    _open(worker, files, data=data, preprocessing=chosen)
    assert "got 'zero'" in _refused(worker, files, AuditError, data=data)


def test_a_damaged_pt2_is_refused_in_one_line(copy):
    folder = copy("pt2")
    file = folder / "data" / "model.pt2"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(
        ModelRefused, match=r"Expected a torch\.export archive with a zip that ends"
    ):
        _inspect(folder)


def test_the_gpu_that_is_not_there_is_named(saved, worker):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    reason = _refused(worker, _inspect(saved / "pt2"), AuditError, device="cuda")
    assert reason.startswith("Expected a GPU for device: cuda, found none")
