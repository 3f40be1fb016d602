"""Class names at any place of a model stand in the order of its logits."""

import json
import shutil

import mlflow
import numpy as np
import onnx
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import TensorSpec
from torch import nn

from audits.data.sources import Digits, load
from audits.errors import ModelRefused
from audits.models.carried_names import expect_same_order, lists_in
from audits.models.classes import matched_classes
from audits.models.files import inspect
from audits.models.plain_literal import plain_literal
from audits.models.preprocessing import Preprocessing

NAMES = ("cat", "dog", "sea lion")
OTHER = ["dog", "sea lion", "cat"]


@pytest.mark.parametrize(
    "value",
    [
        {"labels": OTHER},
        {"anything": {"deeper": [{"names": tuple(OTHER)}]}},
        {"id2label": dict(enumerate(OTHER))},
        {"order": {"cat": 2, "dog": 0, "Sea-Lion": 1}},
        {"categories": [{"id": i, "name": name} for i, name in enumerate(OTHER)]},
        {"labels": json.dumps(OTHER)},
        {"labels": str({0: "dog", 1: "sea lion", 2: "cat"})},
        {"labels": "dog, sea lion, cat"},
        {"labels": "dog\nsea lion\ncat\n"},
        {"labels": ["dog", "lion", "cat"]},
    ],
)
def test_classes_in_another_order_are_refused_at_any_place(value):
    with pytest.raises(ModelRefused, match=r"Expected the classes in one order, .* than in m"):
        expect_same_order(NAMES, tuple(lists_in(value, "m")))


@pytest.mark.parametrize(
    "value",
    [
        {"labels": list(NAMES), "id2label": dict(enumerate(NAMES)), "text": "cat,dog,Sea-Lion"},
        {"tags": ["vision", "dogs", "prod"]},
        {"monitored": ["dog", "cat"]},  # some of the classes
        {"superclass": ["pet", "pet", "animal"]},
        {"numbers": [3, 1, 2], "shape": [1, 28, 28], "text": "dogs bark, cats don't, and lions"},
        {"broken": "[1, 2", "none": None, "deep": "[" * 1000},
    ],
)
def test_other_lists_are_left_alone(value):
    expect_same_order(NAMES, tuple(lists_in(value, "m")))


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("normal", "pneumonia"), {"tags": ["pneumonia", "x-ray"]}),
        (("normal", "pneumonia"), "pneumonia, seen in X-rays of the chest"),
        (("0", "1"), {"padding": "1,1"}),
        (("0", "1"), {"kernel": "1,3", "folds": ["fold_1", "fold_0"], "gpu": "cuda:1,cuda:0"}),
        (("grade 0", "grade 1", "grade 2"), {"stages": "T2,T1,T0"}),
        (("0", "1", "2"), {"best_epochs": "2,1,0", "layers": ["conv2", "conv1", "conv0"]}),
        (("0", "1", "10", "2"), {"columns": ["0", "1", "2", "3"]}),
        (NAMES, {"most_confused_with": {0: "dog", 1: "cat", 2: "dog"}}),
        (
            ("0", "1", "2"),
            {"labels": ["LABEL_0", "LABEL_1", "LABEL_2"], "x": ["\u24ea", "\u2460", "\u00b2"]},
        ),
        (("0", "1", "2"), {"columns": ["V1", "V2", "V3"], "long": ["9" * 5000, "1", "x"]}),
        (
            ("0", "1", "2"),
            {"parts": ["conv1", "conv3", "fc2"], "sizes": {"9" * 5000: "a", "1": "b"}},
        ),
    ],
)
def test_lists_that_are_not_of_the_classes_are_left_alone(names, value):
    expect_same_order(names, tuple(lists_in(value, "m")))


def test_numbers_behind_a_word_are_names():
    names, shifted = ("0", "1", "2"), ["LABEL_1", "LABEL_2", "LABEL_0"]
    with pytest.raises(ModelRefused, match="one order"):
        expect_same_order(names, tuple(lists_in({"labels": shifted}, "m")))
    expect_same_order(("digit 1", "digit 2", "digit 0"), tuple(lists_in(shifted, "m")))


def test_synonyms_are_names():
    names = ("tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark")
    with pytest.raises(ModelRefused, match="in one order"):
        expect_same_order(names, (("m", ("goldfish", "great white shark", "tench")),))


DIGITS = [str(i) for i in range(10)]
TURNED = DIGITS[1:] + DIGITS[:1]


def _signature(outputs):
    inputs = Schema([TensorSpec(np.dtype("float32"), (-1, 1, 8, 8))])
    return ModelSignature(inputs=inputs, outputs=outputs)


def _net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def _expect_refusal(folder, place):
    files = inspect(folder, Preprocessing(mean=0.0, std=1.0))
    with pytest.raises(ModelRefused, match=f"Expected the classes in one order.*{place}"):
        matched_classes(load(Digits()), files, Preprocessing(mean=0.0, std=1.0))


@pytest.mark.parametrize("named", [True, False])
def test_names_in_metadata_and_in_the_signature_are_compared(named, tmp_path):
    pt2 = {"serialization_format": "pt2", "pip_requirements": ["torch"]}
    example = np.zeros((2, 1, 8, 8), dtype="float32")
    given = {"classes": DIGITS} if named else {}
    metadata = {**given, "for_people": {"labels": TURNED}}
    folder = tmp_path / "metadata"
    mlflow.pytorch.save_model(_net(), folder, metadata=metadata, input_example=example, **pt2)
    _expect_refusal(folder, "the model's metadata, for_people, labels")
    folder = tmp_path / "signature"
    signature = _signature(Schema([ColSpec("float", name) for name in TURNED]))
    mlflow.pytorch.save_model(
        _net(), folder, metadata=given, signature=signature, input_example=example, **pt2
    )
    _expect_refusal(folder, "the signature's outputs")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pt2 as MLflow logs it, whose classes are digits."""
    folder = tmp_path_factory.mktemp("saved") / "m"
    example = np.zeros((2, 1, 8, 8), dtype="float32")
    metadata = {"classes": DIGITS, "pretrained_cfg": {"tag": "a1"}}
    mlflow.pytorch.save_model(
        _net(),
        folder,
        metadata=metadata,
        signature=_signature(Schema([TensorSpec(np.dtype("float32"), (-1, 10), "logits")])),
        input_example=example,
        serialization_format="pt2",
        pip_requirements=["torch"],
    )
    return folder


def _edited(saved, folder, *keys, value):
    """A copy of the model whose MLmodel has `value` at these keys."""
    shutil.copytree(saved, folder)
    content = yaml.safe_load((folder / "MLmodel").read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return folder


@pytest.mark.parametrize(
    ("keys", "value", "place"),
    [
        (("class_names",), TURNED, "MLmodel, class_names"),
        (("id2label",), dict(enumerate(TURNED)), "MLmodel, id2label"),
        (("flavors", "pytorch", "labels"), TURNED, "MLmodel, flavors, pytorch, labels"),
        (("saved_input_example_info", "names"), TURNED, "MLmodel, saved_input_example_info"),
        (
            ("metadata", "pretrained_cfg", "id2label"),
            dict(enumerate(TURNED)),
            "pretrained_cfg, id2",
        ),
        (
            ("metadata", "pretrained_cfg", "label_names"),
            ",".join(TURNED),
            "pretrained_cfg, label_n",
        ),
        (
            ("signature", "outputs"),
            json.dumps(
                [
                    {
                        "type": "tensor",
                        "tensor-spec": {"dtype": "float32", "shape": [-1, 10]},
                        "name": ",".join(TURNED),
                    }
                ]
            ),
            "the signature's outputs",
        ),
    ],
)
def test_names_anywhere_in_mlmodel_are_compared(keys, value, place, saved, tmp_path):
    _expect_refusal(_edited(saved, tmp_path / "m", *keys, value=value), place)


def test_a_signature_has_no_keys_of_its_own(saved, tmp_path):
    folder = _edited(saved, tmp_path / "m", "signature", "class_names", value=TURNED)
    with pytest.raises(
        ModelRefused, match="a signature of inputs, outputs, params in MLmodel, got"
    ):
        inspect(folder, Preprocessing(mean=0.0, std=1.0))


def _graph():
    value = onnx.helper.make_tensor_value_info
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [64, 10], [0.0] * 640)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Flatten", ["x"], ["rows"]),
            onnx.helper.make_node("MatMul", ["rows", "w"], ["y"]),
        ],
        "digits",
        [value("x", onnx.TensorProto.FLOAT, ["n", 1, 8, 8])],
        [value("y", onnx.TensorProto.FLOAT, ["n", 10])],
        [weights],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


PLACES = {
    "model": lambda model: model,
    "graph": lambda model: model.graph,
    "input": lambda model: model.graph.input[0],
    "output": lambda model: model.graph.output[0],
    "weight": lambda model: model.graph.initializer[0],
    "node": lambda model: model.graph.node[1],
}


@pytest.mark.parametrize("place", PLACES)
def test_names_in_the_properties_of_an_onnx_graph_are_compared(place, tmp_path):
    model = _graph()
    PLACES[place](model).metadata_props.add(key="labels", value=",".join(TURNED))
    mlflow.onnx.save_model(model, tmp_path / "m", pip_requirements=["onnx"])
    _expect_refusal(tmp_path / "m", "the ONNX graph's property 'labels'")


def test_a_description_of_the_output_may_be_names_alone(tmp_path):
    model = _graph()
    model.graph.output[0].doc_string = ",".join(TURNED)
    mlflow.onnx.save_model(model, tmp_path / "m", pip_requirements=["onnx"])
    _expect_refusal(tmp_path / "m", "the ONNX graph's description of an output")


@pytest.mark.parametrize("place", ["model", "graph", "input", "output"])
def test_names_in_the_descriptions_of_an_onnx_graph_are_compared(place, tmp_path):
    model = _graph()
    PLACES[place](model).doc_string = json.dumps({"labels": TURNED})
    mlflow.onnx.save_model(model, tmp_path / "m", pip_requirements=["onnx"])
    _expect_refusal(tmp_path / "m", "the ONNX graph's description( of an output)?, labels")


def test_a_config_may_override_the_classes_of_the_metadata(tmp_path):
    example = np.zeros((2, 1, 8, 8), dtype="float32")
    mlflow.pytorch.save_model(
        _net(),
        tmp_path / "m",
        metadata={"classes": TURNED},
        input_example=example,
        serialization_format="pt2",
        pip_requirements=["torch"],
    )
    config = Preprocessing(mean=0.0, std=1.0, classes=tuple(DIGITS))
    found = matched_classes(load(Digits()), inspect(tmp_path / "m", config), config)
    assert found.names == tuple(DIGITS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("('cat', 'd\\'og')", ("cat", "d'og")),
        ("{0: 'cat', 1: \"dog\"}", ("cat", "dog")),
        ("[ 'cat'\n, 'dog', ]", ("cat", "dog")),
        ("{'cat': 0, 'dog': 1}", ("cat", "dog")),
    ],
)
def test_literals_of_python_are_read(text, found):
    assert ("x", found) in lists_in(text, "x")


@pytest.mark.parametrize(
    "text",
    [
        "[f'" + "{1}" * 200_000 + "']",  # Python's parser would take minutes
        "[1" + "<1" * 400_000 + "]",
        "[" + "'a'" * 300_000 + "]",
        "(" + "-" * 900_000 + "1,)",
        "[1" + " " * 900_000 + "x]",
    ],
    ids=["formatted", "compared", "joined", "negated", "unfinished"],
)
def test_other_literals_are_not_given_to_python(text):
    with pytest.raises(ValueError, match="texts and numbers"):
        plain_literal(text)
