"""Notes that torch could not read are refused: MLflow's server would not load the network."""

import json
import zipfile

import pytest
import torch
from torch import nn

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The members of an archive, by their names."""
    file = tmp_path_factory.mktemp("exported") / "model.pt2"
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    axes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=axes)
    torch.export.save(program, file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _node(module):
    return module["graph"]["nodes"][0]["metadata"]


def _call(module):
    return module["module_call_graph"][1]


CHANGES = {
    "a stack of one part": lambda m: _node(m).update(nn_module_stack="cpu"),
    "a stack of four parts": lambda m: _node(m).update(nn_module_stack="a,b,c,d"),
    "an open bracket": lambda m: _node(m).update(nn_module_stack="a,(b,c"),
    "an empty item": lambda m: _node(m).update(nn_module_stack="a,b,c;"),
    "a function of one part": lambda m: _node(m).update(source_fn_stack="relu"),
    "custom that is no JSON": lambda m: _node(m).update(custom="{"),
    "sources that are no list": lambda m: _node(m).update(from_node="1"),
    "a source that is no mapping": lambda m: _node(m).update(from_node="[1]"),
    "no metadata": lambda m: m["graph"]["nodes"][0].pop("metadata"),
    "a module without a name": lambda m: _call(m).pop("fqn"),
    "a call that is a text": lambda m: _call(m).update(signature="x"),
    "a call without inputs": lambda m: _call(m).update(signature={"outputs": []}),
    "two hints": lambda m: m["graph"]["tensor_values"]["conv2d"]["sizes"][0]["as_expr"][
        "hint"
    ].update(as_bool=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_notes_that_torch_cannot_read_are_refused(change, records, tmp_path):
    file = tmp_path / "model.pt2"
    (name,) = [name for name in records if name.endswith("models/model.json")]

    def save(program):
        with zipfile.ZipFile(file, "w") as archive:
            for member, content in {**records, name: json.dumps(program).encode()}.items():
                archive.writestr(zipfile.ZipInfo(member), content)

    program = json.loads(records[name])
    save(program)
    check_archive(file)
    change(program["graph_module"])
    save(program)
    with pytest.raises(ModelRefused, match=r"in the pt2 archive|JSON that can be read"):
        check_archive(file)
    with pytest.raises(Exception, match=r"."):  # of any type: torch does not say which
        torch.export.load(file)
