"""An exported network that is told to compute otherwise on a kind of device is refused."""

import pytest
import torch
from crafting import crafted, export
from torch import nn

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive, load_exported


class _Region(nn.Module):
    """A linear classifier in a region under autocast."""

    def __init__(self, enabled):
        super().__init__()
        self.head = nn.Linear(12, 3)
        self.enabled = enabled

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.enabled):
            return self.head(x.flatten(1)).float()


def _file(net, folder):
    torch.manual_seed(0)
    return export(net, folder / "model.pt2", torch.zeros(2, 3, 2, 2), 0)


def _crafted(file, change, folder):
    """The archive with another region: `change` is given the values of its arguments."""
    return crafted(file, folder / "canary", lambda made: change(_region(made)), folder / "new.pt2")


def _region(made):
    return made.node("wrap_with_autocast")["inputs"]


def _for(device, enabled):
    def change(inputs):
        inputs[0]["arg"] = {"as_string": device}
        inputs[2]["arg"] = {"as_bool": enabled}

    return change


def test_a_region_under_autocast_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match=r"every kind of device.*torch\.autocast\('cpu'\)"):
        check_archive(_file(_Region(True), tmp_path))


def test_a_region_for_the_gpu_of_a_server_is_refused(tmp_path):
    file = _crafted(_file(_Region(False), tmp_path), _for("cuda", True), tmp_path)
    with pytest.raises(ModelRefused, match=r"every kind of device.*torch\.autocast\('cuda'\)"):
        check_archive(file)


def test_a_region_in_a_region_is_refused(tmp_path):
    def put_inside(made):
        region = made.node("wrap_with_autocast")
        outer = made.node("wrap_with_autocast") | {"inputs": list(region["inputs"])}
        _for("cuda", True)(region["inputs"])
        inner = region["inputs"][4]["arg"]["as_graph"]["graph"]
        outer["inputs"][4] = {
            "name": "",
            "kind": 1,
            "arg": {"as_graph": {"name": "outer", "graph": inner | {"nodes": [dict(region)]}}},
        }
        nodes = made.graph["nodes"]
        outer["inputs"][2] = {"name": "", "kind": 1, "arg": {"as_bool": False}}
        nodes[nodes.index(region)] = outer

    real = _file(_Region(False), tmp_path)
    with pytest.raises(ModelRefused, match=r"torch\.autocast\('cuda'\)"):
        check_archive(crafted(real, tmp_path / "canary", put_inside, tmp_path / "new.pt2"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_region_that_switches_autocast_off_is_allowed_and_changes_nothing(device, tmp_path):
    net = _Region(False)
    file = _crafted(_file(net, tmp_path), _for(device, False), tmp_path)
    check_archive(file)
    images = torch.rand(4, 3, 2, 2)
    assert torch.equal(load_exported(file, "cpu")(images), net(images))


def _named(inputs):
    inputs[2] |= {"name": "enabled", "kind": 2}


def _swapped(inputs):
    inputs[2], inputs[3] = inputs[3], inputs[2]
    inputs[2]["arg"] = {"as_int": 0}


def _shorter(inputs):
    del inputs[2:4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_for("mps", False), "autocast of cpu or cuda"),
        (_named, "autocast by device_type"),
        (_shorter, "autocast"),
        (_swapped, "every kind of device"),
    ],
)
def test_a_region_that_is_not_written_as_torch_writes_it_is_refused(change, message, tmp_path):
    with pytest.raises(ModelRefused, match=message):
        check_archive(_crafted(_file(_Region(False), tmp_path), change, tmp_path))


@pytest.mark.parametrize("target", ["_enter_autocast", "_exit_autocast"])
def test_a_region_without_a_graph_of_its_own_is_refused(target, tmp_path):
    real = _file(_Region(False), tmp_path)
    call = f"torch.amp.autocast_mode.{target}"
    file = crafted(
        real,
        tmp_path / "canary",
        lambda made: made.called(call, {"as_string": "cuda"}),
        tmp_path / "new.pt2",
    )
    with pytest.raises(ModelRefused, match="an operator that image networks are exported with"):
        check_archive(file)


@pytest.mark.parametrize("device", ["meta", "mps", "xla"])
def test_a_device_that_is_neither_cpu_nor_gpu_is_refused(device, tmp_path):
    class Moved(nn.Module):
        def forward(self, x):
            return x.flatten(1) + torch.zeros(12, device=torch.device("cpu"))

    def change(made):
        (given,) = (one for one in made.node("zeros")["inputs"] if "as_device" in one["arg"])
        given["arg"]["as_device"]["type"] = device

    real = _file(Moved(), tmp_path)
    with pytest.raises(ModelRefused, match="the device cpu or cuda"):
        check_archive(crafted(real, tmp_path / "canary", change, tmp_path / "new.pt2"))
