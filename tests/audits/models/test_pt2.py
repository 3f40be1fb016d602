"""A pt2 archive with text that loading would run as code is refused before it is loaded."""

import json
import zipfile

import pytest
import torch
from torch import nn

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive


class _Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The archive of a network for any batch, height and width, with symbolic shapes and guards."""
    file = tmp_path_factory.mktemp("archive") / "model.pt2"
    auto = torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto},)
    program = torch.export.export(
        _Pooled().eval(), (torch.zeros(2, 3, 9, 9),), dynamic_shapes=shapes
    )
    torch.export.save(program, file)
    return file


@pytest.fixture
def edited(exported, tmp_path):
    """Writes the archive with its program's JSON changed; returns the new file."""

    def write(change, extra=()):
        file = tmp_path / "model.pt2"
        with zipfile.ZipFile(exported) as old, zipfile.ZipFile(file, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name.endswith("models/model.json"):
                    program = json.loads(content)
                    change(program)
                    content = json.dumps(program).encode()
                new.writestr(name, content)
            for name in extra:
                new.writestr(name, b"")
        return file

    return write


def _replace_first(value, key, new):
    """Replaces the first `key` anywhere below `value`."""
    if isinstance(value, dict):
        if key in value:
            value[key] = new
            return True
        value = list(value.values())
    return isinstance(value, list) and any(_replace_first(inner, key, new) for inner in value)


def test_an_exported_network_is_accepted_with_its_shapes_and_guards(exported, edited):
    with zipfile.ZipFile(exported) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("models/model.json"))
        program = json.loads(archive.read(name))
    assert program["guards_code"]
    assert "expr_str" in json.dumps(program)
    check_archive(exported)
    check_archive(edited(lambda program: None))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')*0+s77",
        "Add('__import__(1)', Integer(1))",
        "Symbol('s0').subs(1, 2)",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "eval('1')",
        "Symbol(\"__import__('os')\")",
        "1 if 1 else 2",
    ],
)
def test_a_shape_that_is_more_than_a_shape_is_refused(text, edited):
    file = edited(lambda program: _replace_first(program, "expr_str", text))
    with pytest.raises(ModelRefused, match="Expected a symbolic shape"):
        check_archive(file)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "L['x'].__class__ == 1",
        "L['x'].size(__import__('os'))[0] == 1",
        "print(1) == None",
        "torch.load('x') == 1",
        "torch.sym_max(__import__('os'), 1) == 1",
        "x = 1",
    ],
)
def test_a_guard_that_is_more_than_a_comparison_is_refused(text, edited):
    file = edited(lambda program: program.update(guards_code=[text]))
    with pytest.raises(ModelRefused, match="Expected a guard on shapes"):
        check_archive(file)


@pytest.mark.parametrize("target", ["torch.os.system", "torch.ops.aten.from_file.default", "os.x"])
def test_a_target_that_is_no_aten_operator_is_refused(target, edited):
    file = edited(lambda program: _replace_first(program, "target", target))
    with pytest.raises(ModelRefused, match="Expected an ATen operator"):
        check_archive(file)


@pytest.mark.parametrize("name", ["model/data/aotinductor/model/x.so", "../x", "model/code/x.py"])
def test_a_record_that_networks_do_not_have_is_refused(name, edited):
    file = edited(lambda program: None, extra=[name])
    with pytest.raises(ModelRefused, match="Expected the records of"):
        check_archive(file)
