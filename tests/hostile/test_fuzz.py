"""Archives with one random change run nothing: each is refused in one line, or loads and answers.

FILLBLANKS_FUZZ is the number of changes; `make soak` tries 2,000.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from crafting import Attending, Crafted, Pooled, crafted, export, walked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audits.errors import ModelRefused
from audits.models.adapter import NETWORK_ERRORS
from audits.models.pt2 import check_archive, load_exported

_CASES = int(os.environ.get("FILLBLANKS_FUZZ", "100"))
_NETS = {"pooled": (Pooled, (0, 2, 3)), "attending": (Attending, (0,))}
_NUMBERS = (-(1 << 63), -(1 << 31), -7, -1, 0, 1, 2, 3, 7, 50, 1 << 31, 1 << 62, 1 << 63, 10**30)
# CODE becomes an expression that makes the canary.
_TEXTS = (
    "CODE",
    '" + repr(CODE)[:0] + "',
    "' + repr(CODE)[:0] + '",
    "x=CODE",
    "x, y=CODE",
    "x[CODE]",
    "x; CODE",
    "x\nCODE",
    "#\\\nCODE",
    "Symbol(CODE)",
    "Integer(CODE)",
    "Add(Integer(1), CODE)",
    "L['x'].size()[CODE] == 1",
    "L['\" + repr(CODE) + \"'].size()[0] == 1",
    "torch.os.system",
    "torch.ops.aten.from_file.default",
    "_operator.attrgetter",
    "__class__",
    "forward",
    "../x",
    "",
    "\0",
    "Infinity",
)
_REST = (None, True, False, 0.5, 1e300, [], {}, [[]], {"as_int": 3}, {"as_none": True})
_PUT = st.one_of(st.sampled_from(_NUMBERS), st.sampled_from(_TEXTS), st.sampled_from(_REST))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The archives of the two networks."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("real")
    return {
        name: export(net(), folder / f"{name}.pt2", torch.zeros(2, 3, 9, 9), *dynamic)
        for name, (net, dynamic) in _NETS.items()
    }


@pytest.mark.slow
@settings(
    max_examples=_CASES,
    derandomize=_CASES <= 100,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_random_change_runs_nothing(data, real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    canary, name = folder / "canary", data.draw(st.sampled_from(sorted(_NETS)))
    change = data.draw(st.sampled_from([_value, _value, _value, _key, _whole, _bytes]))
    file = crafted(real[name], canary, lambda made: change(data, made), folder / "model.pt2")
    _open(file)
    assert not canary.exists()
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()


def _open(file: Path) -> None:
    refused, net = "", None
    try:
        check_archive(file)
        net = load_exported(file, "cpu")
    except ModelRefused as error:
        refused = str(error)
    assert "\n" not in refused
    if net is None:
        return
    try:
        answer = net(torch.zeros(2, 3, 9, 9))
    except NETWORK_ERRORS:
        return
    for one in torch.utils._pytree.tree_leaves(answer):
        assert one is None or isinstance(one, torch.Tensor | int | float)


def _value(data: st.DataObject, made: Crafted) -> None:
    """Puts another value in place of one text or number."""
    places = _places(data, made)
    single = [place for place in places if not isinstance(_at(place), dict | list)]
    inside, key = data.draw(st.sampled_from(single or places))
    inside[key] = _coded(data.draw(_PUT), made)


def _key(data: st.DataObject, made: Crafted) -> None:
    """Gives a value of a mapping another key."""
    places = [place for place in _places(data, made) if isinstance(place[0], dict)]
    if not places:
        return
    inside, key = data.draw(st.sampled_from(places))
    inside[_coded(data.draw(st.sampled_from(_TEXTS)), made)] = inside.pop(key)


def _whole(data: st.DataObject, made: Crafted) -> None:
    """Removes or repeats a value, or puts another one of the archive in its place."""
    places = _places(data, made)
    inside, key = data.draw(st.sampled_from(places))
    action = data.draw(st.sampled_from(["remove", "repeat", "replace"]))
    if action == "remove":
        del inside[key]
    elif action == "repeat" and isinstance(inside, list):
        inside.insert(key, inside[key])
    else:
        inside[key] = copy.deepcopy(_at(data.draw(st.sampled_from(places))))


def _bytes(data: st.DataObject, made: Crafted) -> None:
    """Changes, adds or removes a few bytes of the file."""
    place, end = data.draw(st.integers(0, 1 << 20)), data.draw(st.booleans())
    removed, added = data.draw(st.integers(0, 4)), data.draw(st.binary(max_size=4))

    def change(content: bytes) -> bytes:
        at = len(content) - place % 3000 if end else place % len(content)
        return content[:at] + added + content[at + removed :]

    made.finished = change


def _places(data: st.DataObject, made: Crafted) -> list[tuple[Any, Any]]:
    """Every list and mapping in one part of the archive, with each place in it."""
    for node in made.graph["nodes"]:
        node["metadata"] = {}  # notes, which nobody reads
    module, graph = made.program["graph_module"], made.graph
    parts = [
        *(graph[key] for key in ("inputs", "outputs", "nodes", "nodes", "nodes", "tensor_values")),
        *(module[key] for key in ("signature", "module_call_graph")),
        *(made.program[key] for key in ("range_constraints", "guards_code", "schema_version")),
        *(made.program, module, graph, made.weights, made.constants),
    ]
    part = data.draw(st.sampled_from([part for part in parts if part]))
    if part in (made.program, module, graph):
        return [(part, key) for key in part]
    return [
        (one, key)
        for one in walked(part)
        for key in (one if isinstance(one, dict) else range(len(one)))
    ]


def _at(place: tuple[Any, Any]) -> Any:
    inside, key = place
    return inside[key]


def _coded(value: Any, made: Crafted) -> Any:
    return value.replace("CODE", made.code()) if isinstance(value, str) else value
