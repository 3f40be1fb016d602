"""Damaged and crafted ONNX files are refused in one line, or read: nothing else comes of them."""

import random

import numpy as np
import pytest
from google.protobuf.message import Message
from mlflow.models import Model

onnx = pytest.importorskip("onnx")

from audits.errors import ModelRefused  # noqa: E402
from audits.models.files import inspect  # noqa: E402
from audits.models.flavours import onnx_file  # noqa: E402
from audits.models.preprocessing import Preprocessing  # noqa: E402

h = onnx.helper
_DRAWN = 150  # files with random changes


def _network():
    """A graph with most of what a parent reads: labels, a Dropout, a subgraph, a function."""
    value = h.make_tensor_value_info
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(64, 3)).astype("f4"), "ratio": np.float32(0.5)}
    weights |= {"off": np.array(False), "trip": np.array(2), "yes": np.array(True)}
    body = h.make_graph(
        [h.make_node("Identity", ["c"], ["c2"]), h.make_node("Twice", ["s"], ["s2"], domain="own")],
        "body",
        [value("i", 7, []), value("c", 9, []), value("s", 1, ["n", 3])],
        [value("c2", 9, []), value("s2", 1, ["n", 3])],
    )
    nodes = [
        h.make_node("Flatten", ["x"], ["flat"]),
        h.make_node("Dropout", ["flat", "ratio", "off"], ["same"]),
        h.make_node("MatMul", ["same", "w"], ["start"]),
        h.make_node("Loop", ["trip", "yes", "start"], ["logits"], body=body),
        h.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        h.make_node("Constant", [], ["k"], value=onnx.numpy_helper.from_array(np.ones(2, "f4"))),
        h.make_node(
            "LabelEncoder",
            ["label"],
            ["named"],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1, 2],
            values_strings=["a", "b", "c"],
        ),
    ]
    own = h.make_function(
        "own", "Twice", ["a"], ["b"], [h.make_node("Add", ["a", "a"], ["b"])], [_opset("", 17)]
    )
    graph = h.make_graph(
        nodes,
        "network",
        [value("x", 1, ["n", 1, 8, 8])],
        [value("logits", 1, ["n", 3]), value("named", 8, ["n"])],
        [onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in weights.items()],
    )
    opsets = [_opset("", 17), _opset("ai.onnx.ml", 2), _opset("own", 1)]
    return h.make_model(graph, opset_imports=opsets, functions=[own], ir_version=8)


def _opset(domain, version):
    return h.make_opsetid(domain, version)


@pytest.fixture
def folder(tmp_path):
    entry = {"data": "model.onnx", "onnx_version": "1.17"}
    Model(flavors={"onnx": entry}).save(str(tmp_path / "MLmodel"))
    return tmp_path


def _said(folder, content):
    """The refusal of a file with this content; "" if it is read."""
    (folder / "model.onnx").write_bytes(
        content if isinstance(content, bytes) else content.SerializeToString()
    )
    said = ""
    try:
        inspect(folder, Preprocessing())
    except ModelRefused as refused:
        said = str(refused)
    assert "\n" not in said
    assert len(said) <= 400
    return said


def test_the_network_itself_is_read(folder):
    assert _said(folder, _network()) == ""


def _without_outputs(model):
    del model.graph.output[:]
    node = model.graph.node.add(op_type="Scaler", domain="ai.onnx.ml", output=["q"])
    node.attribute.add(name="classlabels_strings", type=8).strings.append(b"a")


def _constant_without_output(model):
    model.graph.node.add(op_type="Constant")


def _not_named(model):
    model.graph.node[0].op_type = ""


def _cyclic(model):
    model.graph.node[0].input[0] = "logits"


def _deep(model):
    graph = model.graph
    for _ in range(25):
        node = graph.node.add(op_type="If", input=["yes"], output=["z"])
        graph = node.attribute.add(name="then_branch", type=5).g
    graph.node.add(op_type="RandomNormal", output=["z"])


def _twice(model):
    model.graph.node.append(model.graph.node[0])


def _weight_twice(model):
    model.graph.initializer.append(model.graph.initializer[0])


def _no_shape(model):
    model.graph.input[0].type.tensor_type.ClearField("shape")


def _negative(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -5


def _texts(model):
    model.graph.input[0].type.tensor_type.elem_type = 8


def _no_type(model):
    model.graph.input[0].ClearField("type")


def _no_inputs(model):
    del model.graph.input[:]


def _outside(place):
    def change(model):
        weight = model.graph.initializer[0]
        weight.data_location = 1
        weight.external_data.add(key="location", value=place)

    return change


def _settings(model):
    model.metadata_props.add(key="ort_config", value="{}")


def _no_opset(model):
    del model.opset_import[:]


def _training(model):
    model.training_info.add()


_CRAFTED = [
    (_without_outputs, "graph with an output, got none"),
    (_constant_without_output, "nodes with an output, got 'Constant' without one"),
    (_not_named, "operators of ONNX .*, got '' of 'ai.onnx'"),
    (_cyclic, ""),  # onnxruntime says so, in the model's process
    (_deep, "'RandomNormal', which draws random numbers"),
    (_twice, "one value of each name .*, got 'flat' twice"),
    (_weight_twice, "one weight of each name .*, got 'w' twice"),
    (_no_shape, "input has a shape .*, got none"),
    (_negative, "sides of at least 1"),
    (_texts, "images in floats or in uint8"),
    (_no_type, "one image tensor as its input, got 1"),
    (_no_inputs, "one image tensor as its input, got 0"),
    (_outside("a" * 5000), "weights inside its folder"),
    (_outside("a\0b"), "weights inside its folder"),
    (_outside("\n\x1b[31m/../../etc"), "weights inside its folder"),
    (_outside(""), "weights inside its folder"),
    (_outside("."), "weights inside its folder"),
    (_outside("*/_ORT_MEM_ADDR_/*"), "weights inside its folder"),
    (_settings, "without options of a session"),
    (_no_opset, "Expected an opset of ONNX, got none"),
    (_training, "for inference"),
]


@pytest.mark.parametrize(("change", "message"), _CRAFTED)
def test_a_crafted_graph_is_refused_in_one_line(change, message, folder):
    model = _network()
    change(model)
    said = _said(folder, model)
    if message:
        with pytest.raises(ModelRefused, match=message):
            raise ModelRefused(said)


def test_an_address_of_memory_is_refused_also_if_a_file_has_that_name(folder):
    place = folder / "*" / "_ORT_MEM_ADDR_" / "*"
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(4096))
    model = _network()
    _outside("*/_ORT_MEM_ADDR_/*")(model)
    assert "weights inside its folder" in _said(folder, model)


@pytest.mark.parametrize(
    "content", [b"", b" ", b"\x0a\xff\xff\xff\xff\x0f", b'{"a": 1}', b"\x3a" * 5000, bytes(9)]
)
def test_bytes_that_are_no_graph_are_refused(content, folder):
    assert "Expected" in _said(folder, content)


def test_texts_that_are_no_utf_8_are_refused(folder):
    content = _network().SerializeToString().replace(b"Flatten", b"Fl\xff\xfeten")
    assert "Expected" in _said(folder, content)


def test_graphs_with_too_many_parts_are_refused(folder, monkeypatch):
    monkeypatch.setattr(onnx_file, "_PARTS", 20)
    assert "at most 20 nodes" in _said(folder, _network())


def test_a_folder_in_place_of_the_file_is_refused(folder):
    (folder / "model.onnx").mkdir()
    with pytest.raises(ModelRefused, match="Expected a file with the model"):
        inspect(folder, Preprocessing())


def test_random_changes_of_fields_never_end_in_another_error(folder):
    """A field is dropped, emptied, repeated, swapped with another's content, or set to nonsense."""
    base, refused = _network(), 0
    for seed in range(_DRAWN):
        model = type(base)()
        model.CopyFrom(base)
        rng = random.Random(seed)
        for _ in range(rng.randint(1, 12)):
            _changed(model, rng)
        refused += bool(_said(folder, model))
    assert _DRAWN // 3 < refused < _DRAWN


def test_random_changes_of_bytes_never_end_in_another_error(folder):
    content, refused = _network().SerializeToString(), 0
    for seed in range(_DRAWN):
        rng, changed = random.Random(seed), bytearray(content)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        refused += bool(_said(folder, bytes(changed[: rng.choice([-1, len(changed), 200])])))
    assert refused


def _changed(model, rng):
    """Changes one field of a message somewhere in a ModelProto."""
    message = rng.choice([model, *_messages(model)])
    field = rng.choice(message.DESCRIPTOR.fields)
    if rng.random() < 0.4:
        message.ClearField(field.name)
        return
    if field.message_type is not None:
        others = [m for m in _messages(model) if field.message_type == m.DESCRIPTOR]
        if others:
            copy = type(others[0])()
            if rng.random() < 0.7:  # else it is empty
                copy.CopyFrom(rng.choice(others))
            values = getattr(message, field.name)
            values.append(copy) if field.is_repeated else values.CopyFrom(copy)
        return
    nonsense = {
        field.CPPTYPE_STRING: [b"", b"\xff"] if field.type == field.TYPE_BYTES else ["", "x", "\0"],
        field.CPPTYPE_INT64: [0, -1, 2**62],
        field.CPPTYPE_UINT64: [0, 2**63],
        field.CPPTYPE_INT32: [0, -1, 8, 2**31 - 1],
        field.CPPTYPE_FLOAT: [float("nan"), 1e30],
        field.CPPTYPE_DOUBLE: [float("inf")],
        field.CPPTYPE_ENUM: [1, 2, 5],
    }[field.cpp_type]
    chosen = rng.choice(nonsense)
    if field.is_repeated:
        values = getattr(message, field.name)
        del values[: rng.randint(0, len(values))]
        values.append(chosen)
    elif field.cpp_type != field.CPPTYPE_ENUM or chosen in field.enum_type.values_by_number:
        setattr(message, field.name, chosen)


def _messages(message):
    found = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if isinstance(value, Message) else value:
                found += [one, *_messages(one)]
    return found
