"""A name in an exported network stands for one value: torch finds others under some names.

Each of these archives is changed by a few words, so that a network keeps a count in its buffer
behind the back of what is read off its graph.
"""

import copy

import pytest
import torch
from crafting import Crafted, crafted, export
from torch import nn

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive, load_exported


class _Counting(nn.Module):
    """Its answer grows with a copy of its buffer, in several ways that a change makes lasting."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(2, 3))

    def forward(self, x):
        first, second = torch.split(self.count.clone(), 1)
        given = torch.broadcast_tensors(first, second)
        with torch.no_grad():
            scale = x * 1.5
        with torch.no_grad():
            other = scale.add(1)
        sizes = x.shape[0] * 2
        return other.reshape(sizes // 2, 3) + given[0] + given[1]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return export(_Counting(), tmp_path_factory.mktemp("real") / "model.pt2", torch.zeros(4, 3), 0)


def _tensor(name):
    return {"as_tensor": {"name": name}}


def _result_of_all(made: Crafted) -> None:
    made.node("aten.split")["name"] = "all"
    made.node("broadcast_tensors")["inputs"][0]["arg"] = _tensor("all")


def _all_by_a_name(made: Crafted) -> None:
    made.node("aten.split")["name"] = "all"
    made.graph["outputs"][0] = _tensor("all")


def _one_of_several(made: Crafted) -> None:
    node = made.node("aten.split")
    node["outputs"] = [_tensor(node["outputs"][0]["as_tensors"][0]["name"])]


def _tensor_for_a_list(made: Crafted) -> None:
    made.node("broadcast_tensors")["inputs"][0]["arg"] = _tensor("clone")


def _list_for_a_tensor(made: Crafted) -> None:
    made.node("aten.clone")["inputs"][0]["arg"] = {"as_tensors": [{"name": "b_count"}]}


def _later(made: Crafted) -> None:
    made.node("aten.clone")["inputs"][0]["arg"] = _tensor("split_0")


def _twice(made: Crafted) -> None:
    twin = copy.deepcopy(made.node("aten.clone"))
    made.graph["nodes"].insert(0, twin)


def _of_two_kinds(made: Crafted) -> None:
    made.graph["sym_int_values"]["clone"] = {"as_int": 1}


def _called_otherwise(made: Crafted) -> None:
    made.node("aten.clone")["name"] = "another"


def _called_like_another(made: Crafted) -> None:
    made.node("aten.split")["name"] = "clone"


def _tensor_as_a_size(made: Crafted) -> None:
    node = made.node("_operator.mul")
    node["target"] = "torch.sym_ite"
    value = {"name": "", "kind": 1}
    chosen = {"as_bool": True}, _tensor("b_count"), _tensor("b_count")
    node["inputs"] = [value | {"arg": one} for one in chosen]


def _size_for_a_tensor(made: Crafted) -> None:
    size = made.node("_operator.mul")["outputs"][0]["as_sym_int"]["as_name"]
    made.graph["nodes"][-1]["inputs"][1]["arg"] = _tensor(size)


def _regions(made: Crafted):
    return [one for one in made.graph["nodes"] if "set_grad" in one["target"]]


def _regions_of_one_name(made: Crafted) -> None:
    first, second = (one["inputs"][1]["arg"]["as_graph"] for one in _regions(made))
    second["name"] = first["name"]


def _region_called_like_a_buffer(made: Crafted) -> None:
    _regions(made)[0]["inputs"][1]["arg"]["as_graph"]["name"] = "count"


def _region_called_like_a_part_of_torch(made: Crafted) -> None:
    _regions(made)[0]["inputs"][1]["arg"]["as_graph"]["name"] = "_guards_fn"


def _region_by_name(made: Crafted) -> None:
    _regions(made)[0]["inputs"][2] |= {"name": "x", "kind": 2}


def _region_with_more(made: Crafted) -> None:
    inputs = _regions(made)[0]["inputs"]
    inputs.append(copy.deepcopy(inputs[2]))


def _region_with_a_list(made: Crafted) -> None:
    given = _regions(made)[0]["inputs"][2]
    given["arg"] = {"as_tensors": [given["arg"]["as_tensor"]]}


def _region_with_its_graph_first(made: Crafted) -> None:
    inputs = _regions(made)[0]["inputs"]
    inputs[0], inputs[1] = inputs[1], inputs[0]


def _region_with_two_graphs(made: Crafted) -> None:
    inputs = _regions(made)[0]["inputs"]
    inputs[0]["arg"] = copy.deepcopy(inputs[1]["arg"])
    inputs[0]["arg"]["as_graph"]["name"] = "first"


def _region_of_a_size(made: Crafted) -> None:
    node = _regions(made)[0]
    name = node["outputs"][0]["as_tensor"]["name"]
    node["outputs"] = [{"as_sym_int": {"as_name": name}}]
    made.graph["sym_int_values"][name] = {"as_int": 1}
    made.graph["tensor_values"].pop(name)


def _region_of_less(made: Crafted) -> None:
    inner = _regions(made)[0]["inputs"][1]["arg"]["as_graph"]["graph"]
    inner["outputs"] = inner["outputs"] * 2


def _size_for_a_list(made: Crafted) -> None:
    size = made.node("_operator.mul")["outputs"][0]["as_sym_int"]["as_name"]
    made.node("broadcast_tensors")["inputs"][0]["arg"] = {"as_sym_int": {"as_name": size}}


def _signature_of_another(made: Crafted) -> None:
    specs = made.program["graph_module"]["signature"]["input_specs"]
    next(one for one in specs if "buffer" in one)["buffer"]["arg"]["name"] = "another"


def _image_as_a_number(made: Crafted) -> None:
    specs = made.program["graph_module"]["signature"]["input_specs"]
    at = next(at for at, one in enumerate(specs) if "user_input" in one)
    specs[at] = {"constant_input": {"name": "x", "value": {"as_int": 1}}}


_CHANGES = {
    _result_of_all: "tensors, List",
    _all_by_a_name: "signature of the values|as_tensor, got all",
    _one_of_several: "results of",
    _tensor_for_a_list: "tensors, List",
    _list_for_a_tensor: "self, Tensor",
    _later: "by then|kind as_tensor",
    _twice: "name of one value",
    _of_two_kinds: "name of one value",
    _called_otherwise: "name of its result",
    _called_like_another: "name of its result",
    _tensor_as_a_size: "results of torch.sym_ite",
    _size_for_a_tensor: "kind as_tensor",
    _regions_of_one_name: "name of one graph",
    _region_called_like_a_buffer: "name of one graph",
    _region_called_like_a_part_of_torch: "name of a graph",
    _region_by_name: "graph in its place",
    _region_with_more: "inputs of its graph",
    _region_with_a_list: "inputs of its graph",
    _region_with_its_graph_first: "graph in its place",
    _region_with_two_graphs: "graph in its place",
    _region_of_a_size: "results of",
    _region_of_less: "results of",
    _size_for_a_list: "tensors, List",
    _image_as_a_number: "signature of the values",
    _signature_of_another: "signature of the values",
}


def test_the_archive_that_is_changed_is_taken_as_it_is(real):
    check_archive(real)
    x = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(load_exported(real, "cpu")(x), x * 1.5 + 1)


@pytest.mark.parametrize("change", _CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_name_of_another_value_is_refused(change, real, tmp_path):
    file = crafted(real, tmp_path / "canary", change, tmp_path / "crafted.pt2")
    with pytest.raises(ModelRefused, match=_CHANGES[change]):
        check_archive(file)
