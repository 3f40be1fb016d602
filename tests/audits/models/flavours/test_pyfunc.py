"""What a pyfunc returns is taken by name as probabilities or labels; other forms are refused."""

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.flavours.pyfunc import answered
from audits.models.preprocessing import Preprocessing

CLASSES = ("cat", "dog", "ship")
TABLE = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])


class Brightness(mlflow.pyfunc.PythonModel):
    """Names an image by its mean: what it is given is checked too."""

    def predict(self, context, model_input, params=None):
        assert isinstance(model_input, np.ndarray)
        assert model_input.shape[1:] == (8, 8, 3)
        mean = model_input.mean(axis=(1, 2, 3))
        return pd.DataFrame({"label": np.where(mean > 127, "ship", "cat"), "mean": mean})


def _save(folder, signature=None, model=None, **arguments):
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=model or Brightness(),
        signature=signature,
        pip_requirements=["mlflow"],
        **arguments,
    )
    return folder


def _tensors(*shape, dtype=np.float32):
    return ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape)]))


def test_a_model_is_called_with_images_as_its_signature_has_them(tmp_path, inspected, loaded):
    folder = _save(tmp_path / "model", _tensors(-1, 8, 8, 3))
    files = inspected(folder)
    assert (files.flavour, files.trusted, files.contract.layout) == (
        "python_function",
        True,
        "NHWC",
    )
    images = torch.stack([torch.zeros(8, 8, 3), torch.full((8, 8, 3), 255.0)])
    assert loaded(files, CLASSES)(images).tolist() == [0, 2]
    with pytest.raises(ValueError, match="MLflow refused the images"):
        loaded(files, CLASSES)(torch.zeros(2, 9, 9, 3))


def test_every_file_needs_trust_and_decides_the_digest(tmp_path, inspected):
    artifact = tmp_path / "table.bin"
    artifact.write_bytes(b"1")
    folder = _save(tmp_path / "model", artifacts={"table": str(artifact)})
    with pytest.raises(ModelRefused, match="can run any code"):
        inspect(folder, Preprocessing())
    before = inspected(folder).digest
    MLmodel = folder / "MLmodel"  # noqa: N806
    MLmodel.write_text(MLmodel.read_text().replace("utc_time_created: '2", "utc_time_created: '1"))
    other = inspected(folder).digest
    (folder / "artifacts" / "table.bin").write_bytes(b"2")
    assert len({before, other, inspected(folder).digest}) == 3


def test_a_loader_that_is_not_mlflows_is_refused(tmp_path):
    folder = _save(tmp_path / "model")
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(text.replace("mlflow.pyfunc.model", "os"))
    with pytest.raises(ModelRefused, match="MLflow itself can load, got one that 'os' loads"):
        inspect(folder, Preprocessing())


@pytest.mark.parametrize("kind", [DataType.string, DataType.binary])
def test_columns_of_paths_or_bytes_are_refused(kind, tmp_path, inspected):
    folder = _save(tmp_path / "model", ModelSignature(Schema([ColSpec(kind, "image")])))
    with pytest.raises(
        ModelRefused, match=f"1 column.* of {kind.name}.* Log the network"
    ) as refused:
        inspected(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TABLE, TABLE),
        (TABLE.tolist(), TABLE),
        (torch.tensor(TABLE), TABLE),
        (pd.DataFrame(TABLE), TABLE),
        (pd.DataFrame(TABLE[:, ::-1], columns=["ship", "dog", "cat"]), TABLE),
        ({"probabilities": TABLE, "label": ["ship", "cat"]}, TABLE),
        ({"output": TABLE}, TABLE),
        (["ship", "cat"], [2, 0]),
        (np.array(["Ship", "cat "]), [2, 0]),
        (np.array(["ship", "lion"], dtype=object), [2, -1]),
        (pd.DataFrame({"label": ["ship", "cat"], "score": [0.7, 0.6]}), [2, 0]),
        (pd.Series(["ship", "cat"]), [2, 0]),
        ([2, 0], [2, 0]),
        (np.array([[2], [0]]), [2, 0]),
        (np.array([2.0, 0.0]), [2, 0]),
        (np.array([0.0, 1.0]), [0, 1]),  # one image may be asked alone
        (np.array([3, -1]), [-1, -1]),
        (np.array([0.25, 0.75]), [0.25, 0.75]),
    ],
)
def test_answers_become_values_or_numbers_of_classes(given, expected):
    answer = answered(given, CLASSES, 2)
    assert answer.is_floating_point() == (np.asarray(expected).dtype.kind == "f")
    np.testing.assert_allclose(answer, expected, rtol=1e-6)


_COLUMNS = {name: TABLE[:, at] for at, name in enumerate(CLASSES)}


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({**_COLUMNS, "label": ["ship", "dog"]}),
        pd.DataFrame({**_COLUMNS, "class": ["ship", "escalate"]}),
        pd.DataFrame({"label": ["ship", "cat"], "prediction": [2, 1]}),
        {"logits": TABLE, "label": ["ship", "dog"]},
        {"logits": TABLE, "probabilities": TABLE[:, ::-1]},
    ],
)
def test_a_label_that_names_another_class_than_what_is_audited_is_refused(given):
    with pytest.raises(ModelRefused, match="got another one from '"):
        answered(given, CLASSES, 2)


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({**_COLUMNS, "label": ["ship", "cat"]}),
        pd.DataFrame({**_COLUMNS, "class": ["vehicle", "mammal"]}),
        {"logits": TABLE, "probabilities": TABLE, "label": [2, 0]},
        {"probabilities": TABLE, "class": None},
    ],
)
def test_labels_that_agree_or_are_of_another_kind_change_nothing(given):
    np.testing.assert_allclose(answered(given, CLASSES, 2), TABLE, rtol=1e-6)


def test_floats_of_two_classes_are_probabilities_if_none_is_above_1():
    assert answered(np.array([0.0, 1.0]), CLASSES[:2], 2).is_floating_point()
    assert answered(np.array([1.0, 2.0]), ("1", "2"), 2).tolist() == [0, 1]
    for classes in (("1", "7"), ("1", "0")):
        assert answered(np.array([0.5, 1.0]), classes, 2).tolist() == [0.5, 1.0]
        with pytest.raises(ModelRefused, match="which may be probabilities, or labels for 2 image"):
            answered(np.array([0.0, 1.0]), classes, 2)
    assert answered(np.array([-np.inf, 0.0]), CLASSES[:2], 2).tolist() == [-np.inf, 0.0]


def test_one_probability_has_the_class_of_the_label_beside_it():
    given = {"probabilities": np.array([0.25, 0.75]), "label": ["cat", "dog"]}
    assert answered(given, CLASSES[:2], 2).tolist() == [0.25, 0.75]
    with pytest.raises(ModelRefused, match="got another one from 'label'"):
        answered({**given, "label": ["dog", "dog"]}, CLASSES[:2], 2)


@pytest.mark.parametrize("labels", [[7, 4], ["7", "4"], [7.0, 4.0]])
def test_whole_numbers_are_names_if_the_classes_are_called_so(labels):
    assert answered(labels, ("4", "7", "1"), 2).tolist() == [1, 0]


@pytest.mark.parametrize(
    "given",
    [
        TABLE[0],
        np.zeros((2, 3, 4)),
        {"boxes": TABLE, "scores": TABLE},
        pd.DataFrame({"name": ["cat", "dog"], "score": [1.0, 2.0]}),
        None,
        np.array([True, False]),
    ],
)
def test_other_answers_are_refused_in_one_line(given):
    with pytest.raises(ModelRefused, match=r"Expected a label an image.* Let predict") as refused:
        answered(given, CLASSES, 2)
    assert "\n" not in str(refused.value)
