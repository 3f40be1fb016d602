"""MLmodel alone says which models are image classifiers; it is read alone, and strictly."""

import described as of
import pytest
import yaml
from mlflow.models import Model

from audits.errors import ModelRefused
from audits.models.foreign import expect_auditable, expect_not_refused, why_left_alone
from audits.models.mlmodel import described
from audits.models.registry import resolve
from audits.models.trust import NO_TRUST, Trust

CLASSIFIERS = {
    "pt2": {"flavour": "pytorch", "inputs": of.tensor(-1, 3, 64, 64)},
    "pt2 with classes": {
        "flavour": "pytorch",
        "inputs": of.tensor(-1, 1, 28, 28),
        "outputs": of.tensor(-1, 10),
    },
    "classes as pixels": {
        "flavour": "pytorch",
        "inputs": of.tensor(-1, 3, 64, 64),
        "outputs": of.tensor(-1, 10, 1, 1),
    },
    "grey": {"flavour": "pytorch", "inputs": of.tensor(-1, 28, 28)},
    "without a signature": {"flavour": "pytorch"},
    "onnx": {"flavour": "onnx", "inputs": of.tensor(-1, 64, 64, 3)},
    "keras": {"flavour": "keras", "inputs": of.tensor(-1, 64, 64, 3)},
    "pipeline": {
        "flavour": "transformers",
        "inputs": of.TEXT,
        "entry": {"task": "image-classification"},
    },
    "rows, told": {
        "flavour": "sklearn",
        "inputs": of.tensor(-1, 64),
        "metadata": {"preprocessing": {"size": 8, "layout": "flat"}},
    },
}


def _conf(folder, **content):
    return Model.from_dict(yaml.safe_load((of.write(folder, **content) / "MLmodel").read_text()))


@pytest.mark.parametrize("name", of.FOREIGN)
def test_what_is_no_image_classifier_is_left_alone_for_a_reason(name, tmp_path):
    reason, content = of.FOREIGN[name]
    assert why_left_alone(_conf(tmp_path / "m", **content)) == reason


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_image_classifiers_are_not_left_alone(name, tmp_path):
    conf = _conf(tmp_path / "m", **CLASSIFIERS[name])
    assert why_left_alone(conf) == ""
    expect_auditable(conf)


def test_an_audit_by_name_takes_rows_that_a_sweep_leaves_alone(tmp_path):
    conf = _conf(tmp_path / "m", **of.FOREIGN["sklearn rows"][1])
    expect_auditable(conf)
    with pytest.raises(ModelRefused, match="Expected a model of MLflow's flavour"):
        expect_auditable(Model.from_dict({"flavors": {"spark": {}}}))


def test_a_refusal_that_mlmodel_alone_foresees(tmp_path):
    image = {"inputs": of.tensor(-1, 3, 64, 64)}
    coded = _conf(tmp_path / "1", flavour="pytorch", entry={"code": "code"}, **image)
    with pytest.raises(ModelRefused, match="without code of its own"):
        expect_not_refused(coded, NO_TRUST)
    expect_not_refused(coded, Trust(by_name=True))
    boxed = _conf(tmp_path / "2", flavour="keras", **image)
    with pytest.raises(ModelRefused, match="can run any code when loaded"):
        expect_not_refused(boxed, NO_TRUST)
    expect_not_refused(boxed, Trust(sha256=("0" * 64,)))
    odd = _conf(tmp_path / "3", flavour="pytorch", metadata={"mean": "grey"}, **image)
    with pytest.raises(ModelRefused, match="Expected numbers as 'mean'"):
        expect_not_refused(odd, NO_TRUST)


def _nested(anchors):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, anchors):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("flavors: " + "[" * 100_000, "and 100 levels", id="deep"),
        pytest.param("- " * 5_000 + "x", "and 100 levels", id="deep in blocks"),
        pytest.param(_nested(12), "at most 1,000,000 values", id="aliases"),
        pytest.param("flavors: &a [*a]", "Expected an MLmodel", id="itself"),
        pytest.param("#" * (5 << 20), "at most 2 MiB", id="long"),
        pytest.param("flavors: [1]", "names flavours, got none", id="list"),
        pytest.param("", "a mapping in MLmodel, got NoneType", id="empty"),
        pytest.param("flavors: {a: !!python/object:os.x {}}", "that can be read", id="tag"),
        pytest.param("flavors: {a: b}\nsignature: {inputs: '['}", "that can be read", id="json"),
        pytest.param("\x00\x01", "the control character", id="bytes"),
        pytest.param(None, "Expected MLmodel of models:/odd/1", id="none"),
    ],
)
def test_an_mlmodel_that_is_none_is_one_line(text, message, registry, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    if text is not None:
        (folder / "MLmodel").write_text(text)
    of.register("odd", folder)
    with pytest.raises(ModelRefused, match=message) as refused:
        described(resolve("models:/odd/1"))
    assert "\n" not in str(refused.value)
