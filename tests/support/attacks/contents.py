"""Attacks by what an archive asks torch to do: operators, pickles, subgraphs, sizes, JSON."""

import copy
import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

from crafting import CONSTANTS, PROGRAM, SAMPLES, WEIGHTS, Crafted

from attacks.attack import Attack


def _call(target: str, *values: Any) -> Callable[[Crafted], None]:
    """A call before all nodes; texts in `values` may name the canary."""

    def change(made: Crafted) -> None:
        texts = [{"as_string": value.format(made.canary)} for value in values]
        made.called(target, *texts)

    return change


def _aten(target: str, **values: Any) -> Callable[[Crafted], None]:
    def change(made: Crafted) -> None:
        given = [
            {"as_string": value.format(made.canary)} if isinstance(value, str) else value
            for value in values.values()
        ]
        made.called(target, *given)
        for one, name in zip(made.graph["nodes"][0]["inputs"], values, strict=True):
            one["name"] = name

    return change


def _nested(made: Crafted) -> None:
    inner = made.node("higher_order")["inputs"][1]["arg"]["as_graph"]["graph"]
    inner["nodes"].insert(0, dict(inner["nodes"][0]))
    inner["nodes"][0] |= {
        "target": "torch.os.mkdir",
        "inputs": [{"name": "", "arg": {"as_string": str(made.canary)}, "kind": 1}],
        "outputs": [{"as_none": True}],
        "name": "called",
    }


def _deep(made: Crafted) -> None:
    node = made.node("higher_order")
    for _ in range(9):
        outer = copy.deepcopy(node)
        outer["inputs"][1]["arg"]["as_graph"]["graph"]["nodes"] = [node]
        node = outer
    made.graph["nodes"][0] = node


def _operator_as_argument(made: Crafted) -> None:
    made.node("relu")["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}


def _replaced(name: str, content: Callable[[Crafted], bytes]) -> Callable[[Crafted], None]:
    return lambda made: made.records.update({name: content(made)})


def _pickled_example(made: Crafted) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", made.pickled())
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def _pickled_tensor(folder: str, file: str) -> Callable[[Crafted], None]:
    def change(made: Crafted) -> None:
        config = made.weights if folder == "weights" else made.constants
        entry = next(iter(config["config"].values()))
        entry |= {"path_name": file, "use_pickle": True}
        made.records[f"data/{folder}/{file}"] = _pickled_example(made)
        if file.startswith("opaque"):
            made.records[f"data/{folder}/{file}"] = made.pickled()

    return change


def _meta(tensor: str, **changes: Any) -> Callable[[Crafted], None]:
    return lambda made: made.weights["config"][tensor]["tensor_meta"].update(changes)


def _empty(made: Crafted) -> None:
    # torch allocates the tensor of a file without bytes by its sizes.
    entry = made.weights["config"]["head.weight"]
    made.records[f"data/weights/{entry['path_name']}"] = b""
    entry["tensor_meta"]["sizes"] = [{"as_int": 1 << 40}, {"as_int": 1}]


def _values(**changes: Any) -> Callable[[Crafted], None]:
    return lambda made: made.graph["tensor_values"]["relu"].update(changes)


def _text(name: str, change: Callable[[str], str]) -> Callable[[Crafted], None]:
    return lambda made: made.texts.update({name: change})


OPERATORS = [
    Attack("os.mkdir", _call("torch.os.mkdir", "{}")),
    Attack(
        "an operator that maps a file, and makes it",
        _aten(
            "torch.ops.aten.from_file.default",
            filename="{}",
            shared={"as_bool": True},
            size={"as_int": 4},
        ),
        live=True,
    ),
    Attack(
        "an operator that writes a file",
        _aten("torch.ops.aten.save.default", item={"as_int": 1}, filename="{}"),
    ),
    Attack("an operator that loads a library", _call("torch.ops.load_library", "{}")),
    Attack("an operator that calls", _call("_operator.methodcaller", "system")),
    Attack("an operator that takes attributes", _call("_operator.attrgetter", "__class__")),
    Attack("a function of mathematics", _call("math.factorial", "1")),
    Attack("a hub", _call("torch.hub.load", "{}", "x")),
    Attack("an extension's operator", _call("#x:y", "z")),
    Attack("a name that is no operator", _call("os.system", "true")),
    Attack("an operator of texts", _call("torch.ops.aten.add.str", "a", "b")),
    Attack("an operator that sets storages", _call("torch.ops.aten.set_.source_Tensor")),
    Attack("an operator of another namespace", _call("torch.ops.profiler._record_function_enter")),
    Attack("an operator as an argument", _operator_as_argument),
    Attack("an unknown operator of higher order", _call("torch.ops.higher_order.while_loop")),
    Attack("Triton's operator", _call("torch.ops.higher_order.triton_kernel_wrapper_functional")),
    Attack("a call in a subgraph", _nested),
    Attack("subgraphs in subgraphs", _deep),
]

PICKLES = [
    Attack("a pickle as the example", _replaced(SAMPLES, _pickled_example), live=True),
    Attack("a bare pickle as the example", _replaced(SAMPLES, Crafted.pickled), live=True),
    Attack("a pickle as a weight", _pickled_tensor("weights", "weight_99"), live=True),
    Attack("a pickle as a constant", _pickled_tensor("constants", "tensor_99"), live=True),
    Attack("a pickle as an object", _pickled_tensor("constants", "opaque_obj_0"), live=True),
    Attack("a custom object", _pickled_tensor("constants", "custom_obj_0")),
    Attack(
        "weights in the older format",
        _replaced("data/weights/model.pt", _pickled_example),
        live=True,
    ),
    Attack(
        "constants in the older format",
        _replaced("data/constants/model.pt", _pickled_example),
        live=True,
    ),
    Attack("a library of AOTInductor", _replaced("data/aotinductor/model/x.so", lambda _: b"ELF")),
    Attack("a second network", _replaced("models/other.json", lambda _: b"{}")),
    Attack(
        "a pickle under a weight's name that is no weight",
        _replaced("data/weights/weight_99", lambda made: pickle.dumps(1)),
    ),
]

SIZES = [
    Attack("an unknown dtype", _meta("conv.weight", dtype=99)),
    Attack("a rare dtype", _meta("conv.weight", dtype=29)),
    Attack("a sparse tensor", _meta("conv.weight", layout=1)),
    Attack("a negative size", _meta("conv.bias", sizes=[{"as_int": -4}])),
    Attack("a large size", _meta("conv.bias", sizes=[{"as_int": 1 << 62}])),
    Attack("a size beyond the file", _meta("conv.bias", sizes=[{"as_int": 5}])),
    Attack("a stride beyond the file", _meta("conv.bias", strides=[{"as_int": 1 << 20}])),
    Attack("a stride below zero", _meta("conv.bias", strides=[{"as_int": -1}])),
    Attack("a place beyond the file", _meta("conv.bias", storage_offset={"as_int": 1})),
    Attack("a size that is a text", _meta("conv.bias", sizes=[{"as_int": "4"}])),
    Attack(
        "a size of a shape in a file", _meta("conv.bias", sizes=[{"as_expr": {"expr_str": "x"}}])
    ),
    Attack("an unknown device", _meta("conv.bias", device={"type": "hpu", "index": None})),
    Attack("a file without bytes", _empty),
    Attack("a large tensor between nodes", _values(sizes=[{"as_int": 1 << 39}] * 4)),
    Attack("a tensor of many dimensions", _values(sizes=[{"as_int": 1}] * 99)),
]

DOCUMENTS = [
    Attack("a key that comes twice", _text(PROGRAM, lambda t: '{"guards_code": [],' + t[1:])),
    Attack("NaN in JSON", _text(PROGRAM, lambda t: '{"a": NaN,' + t[1:])),
    Attack("infinity by an exponent", _text(PROGRAM, lambda t: '{"a": 1e999,' + t[1:])),
    Attack("a number of 400 digits", _text(PROGRAM, lambda t: '{"a": 1' + "0" * 400 + "," + t[1:])),
    Attack("deep JSON", _text(PROGRAM, lambda t: "[" * 100_000 + "]" * 100_000)),
    Attack("JSON that ends early", _text(PROGRAM, lambda t: t[:-5])),
    Attack("JSON with a rest", _text(PROGRAM, lambda t: t + "{}")),
    Attack("JSON that is no UTF-8", _text(PROGRAM, lambda t: t[:-1] + ',"\udcff": 1}')),
    Attack("a list where a mapping is", _text(PROGRAM, lambda t: "[1]")),
    Attack("constants that come twice", _text(CONSTANTS, lambda t: '{"config": {},' + t[1:])),
    Attack("a mapping where a list is", _text(WEIGHTS, lambda t: '{"config": {"a": {}}}')),
    Attack("an older schema", lambda made: made.program["schema_version"].update(major=7)),
]
