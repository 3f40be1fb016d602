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
    "grey, told": {
        "flavour": "pytorch",
        "inputs": of.tensor(-1, 28, 20),
        "metadata": {"preprocessing": {"range": "0-1"}},
    },
    "grey bytes": {"flavour": "pytorch", "inputs": of.tensor(-1, 28, 20, dtype="uint8")},
    "of any size": {"flavour": "onnx", "inputs": of.tensor(-1, 3, -1, -1)},
    "without a signature, told": {"flavour": "pytorch", "metadata": {"classes": ["a", "b"]}},
    "one probability, told": {
        "flavour": "pytorch",
        "inputs": of.tensor(-1, 3, 64, 64),
        "outputs": of.tensor(-1, 1),
        "metadata": {"classes": ["a", "b"]},
    },
    "numbers of classes": {
        "flavour": "python_function",
        "inputs": of.tensor(-1, 64, 64, 3),
        "outputs": of.tensor(-1, dtype="int64"),
    },
    "names of classes": {
        "flavour": "python_function",
        "inputs": of.tensor(-1, 64, 64, 3),
        "outputs": [{"type": "string", "required": True}],
    },
    "any number of logits": {
        "flavour": "onnx",
        "inputs": of.tensor(-1, 3, 64, 64),
        "outputs": of.tensor(-1, -1),
    },
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


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("unsigned", True),
        ("series", True),
        ("regressor", True),
        ("no task", True),
        ("sklearn rows", True),
        ("segments", False),
        ("satellite", False),
        ("words", False),
        ("spark", False),
    ],
)
def test_a_sweep_of_one_name_takes_whatever_an_audit_takes(name, taken, tmp_path):
    conf = _conf(tmp_path / "m", **of.FOREIGN[name][1])
    assert (why_left_alone(conf, named=True) == "") == taken


def test_the_flavour_that_is_served_tells_what_a_model_is(tmp_path):
    conf = _conf(tmp_path / "m", flavour="pytorch", inputs=of.tensor(-1, 3, 64, 64))
    expect_not_refused(conf, NO_TRUST)
    assert why_left_alone(conf, ["python_function"]) == ""
    with pytest.raises(ModelRefused, match="flavour python_function, which can run any code"):
        expect_not_refused(conf, NO_TRUST, ["python_function"])
    # It is an image classifier all the same, that is refused.
    assert why_left_alone(conf, ["onnx"]) == ""
    expect_auditable(conf, ["onnx"])
    with pytest.raises(ModelRefused, match="that the config's `served` names, onnx"):
        expect_not_refused(conf, Trust(by_name=True), ["onnx"])
    rows = _conf(tmp_path / "rows", **of.FOREIGN["sklearn rows"][1])
    assert why_left_alone(rows, ["onnx"]) == "sklearn"
    text = {"inputs": of.TEXT, "entry": {"task": "image-classification"}}
    pipeline = _conf(tmp_path / "pipeline", flavour="transformers", **text)
    assert why_left_alone(pipeline) == ""
    assert why_left_alone(pipeline, ["python_function"]) != ""
    with pytest.raises(ModelRefused):
        expect_auditable(pipeline, ["python_function"])


_HUGE = "0x" + "f" * 6_000  # Python reads it, but writes no number of so many digits
# Content of MLmodel that is YAML and makes no sense, and what is told.
NONSENSE = {
    "metadata: [1]\nflavors: {pytorch: {data: d}}": "a mapping as the model's metadata, got list",
    "metadata: words\nflavors: {pytorch: {data: d}}": "the model's metadata, got str",
    "flavors: {1: {}}": "texts as names of flavours",
    "flavors: {1: {}, spark: {}}": "texts as names of flavours",
    "flavors: {pytorch: data}": "flavour 'pytorch', got str",
    f"flavors: {{transformers: {{task: {_HUGE}}}}}": "numbers of at most 100 digits",
    f"flavors: {{pytorch: {{code: {_HUGE}}}}}\nmetadata: {{classes: [a, b]}}": "of at most 100",
    f"flavors: {{pytorch: {{}}}}\nmetadata: {{mean: {_HUGE}, classes: [a, b]}}": "Expected",
    """flavors: {pytorch: {}}
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, "a", 8, 8]}}]'
""": "Expected",
}


def _looked_at(model):
    conf = described(model)
    why_left_alone(conf)
    expect_not_refused(conf, NO_TRUST)


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_values_without_sense_are_one_line(text, registry, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "MLmodel").write_text(text)
    of.register("odd", folder)
    model = resolve("models:/odd/1")
    with pytest.raises(ModelRefused, match=NONSENSE[text]) as refused:
        _looked_at(model)
    assert "\n" not in str(refused.value)


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
