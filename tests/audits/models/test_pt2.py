"""Exported networks load from an archive that is written anew, and answer bit for bit as before."""

import pytest
import torch
from crafting import Attending, crafted, export
from torchvision import models

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive, load_exported
from audits.models.pt2.archive import Archive
from audits.models.pt2.guards import guard
from audits.models.pt2.names import dotted, identifier
from audits.models.pt2.operators import operator
from audits.models.pt2.shapes import shape
from audits.models.pt2.writing import write_archive

_TORCHVISION = [
    "squeezenet1_1",
    pytest.param("mobilenet_v3_small", marks=pytest.mark.slow),
    pytest.param("resnet18", marks=pytest.mark.slow),
    pytest.param("efficientnet_b0", marks=pytest.mark.soak),
    pytest.param("convnext_tiny", marks=pytest.mark.soak),
    pytest.param("regnet_y_400mf", marks=pytest.mark.soak),
]
# Two or more blocks of each kind: the whole networks have nothing else, and take long to export.
_FEW_BLOCKS = {
    "swin": lambda: models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [7, 7]),
    "vit": lambda: models.VisionTransformer(64, 16, 2, 3, 48, 96),
    "densenet": lambda: models.DenseNet(16, (2, 2, 2, 2), 32),
}
_TIMM = {
    "vit_tiny_patch16_224": {"depth": 3},
    "efficientnet_b0": {},
    "sequencer2d_s": {"layers": (1, 1, 1, 1)},  # its recurrence is unrolled, which takes minutes
}


def _expect_same(net, side, folder, *dynamic):
    """The new archive gives the logits, gradients, weights and code that the old one gives."""
    file = export(net, folder / "model.pt2", torch.zeros(2, 3, side, side), 0, *dynamic)
    check_archive(file)
    new, old = load_exported(file, "cpu"), torch.export.load(file).module()
    found = {}
    for name, one in (("new", new), ("old", old)):
        images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))
        images.requires_grad_(True)
        answers = torch.utils._pytree.tree_leaves(one(images))
        (gradient,) = torch.autograd.grad(answers[0].sum(), images)
        found[name] = [*answers, gradient, *one.state_dict().values()]
    assert len(found["new"]) == len(found["old"])
    assert all(torch.equal(*pair) for pair in zip(found["new"], found["old"], strict=True))
    assert list(new.state_dict()) == list(old.state_dict())
    assert new.code == old.code or "checked_" in new.code


@pytest.mark.parametrize("name", _TORCHVISION)
def test_a_network_of_torchvision_answers_the_same(name, tmp_path):
    torch.manual_seed(0)
    _expect_same(models.get_model(name, weights=None), 64, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", _FEW_BLOCKS)
def test_a_network_of_few_blocks_answers_the_same(name, tmp_path):
    torch.manual_seed(0)
    _expect_same(_FEW_BLOCKS[name](), 64, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", _TIMM)
def test_a_network_of_timm_answers_the_same(name, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    _expect_same(timm.create_model(name, **_TIMM[name]), 224, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT", "Swin", "ResNet"])
def test_a_network_of_transformers_answers_the_same(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")
    heads = {"num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 16}
    swin = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]}
    sizes = {"image_size": 32, "patch_size": 4}
    given = {"ViT": heads | sizes, "Swin": swin | sizes, "ResNet": resnet}[name]
    net = getattr(transformers, f"{name}ForImageClassification")(config(num_labels=5, **given))
    _expect_same(net, 32, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [pytest.param((), marks=pytest.mark.soak), (2, 3)])
def test_shapes_and_guards_of_any_height_and_width_are_kept(dynamic, tmp_path):
    torch.manual_seed(0)
    net = models.get_model("squeezenet1_1", weights=None)
    _expect_same(net, 64, tmp_path, *dynamic)


def test_a_guard_still_refuses_images_that_the_network_was_not_exported_for(tmp_path):
    torch.manual_seed(0)
    file = export(Attending(), tmp_path / "model.pt2", torch.zeros(2, 3, 9, 9), 0)
    net = load_exported(file, "cpu")
    for images in (torch.zeros(2, 3, 12, 9), torch.zeros(2, 1, 9, 9)):
        with pytest.raises(AssertionError, match="Guard failed"):
            net(images)


def test_names_and_notes_that_loading_does_not_need_are_left_out(tmp_path):
    file = export(Attending(), tmp_path / "model.pt2", torch.zeros(2, 3, 9, 9), 0)
    net = load_exported(file, "cpu")
    notes = [set(node.meta) & {"stack_trace", "torch_fn"} for node in net.graph.nodes]
    assert not any(notes)
    assert any(node.meta.get("stack_trace") for node in torch.export.load(file).graph.nodes)


def test_the_digest_is_of_the_archive_that_is_written(tmp_path):
    program = torch.export.export(Attending().eval(), (torch.zeros(2, 3, 9, 9),))
    file, noted, anew, other = (tmp_path / f"{name}.pt2" for name in "abcd")
    torch.export.save(program, file)
    torch.export.save(program, noted, extra_files={"note": "for people, which is left out"})
    with noted.open("rb") as stream, anew.open("wb") as target:
        digest = write_archive(Archive.read(stream), target)
    assert check_archive(file) == check_archive(noted) == check_archive(anew) == digest
    program.state_dict["head.weight"].data[0, 0] += 1
    torch.export.save(program, other)
    assert check_archive(other) != digest


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
        "Symbol('s0', integer=print)",
        "Symbol('s0', integer=True, integer=True)",
        "Pow(Integer(9), Integer(9))",
        "Pow(Symbol('s0'), Integer(99))",
        "Integer(1)\n",
        "Integer(9999999999999999999999)",
        "FloorDiv(Integer(1))",
    ],
)
def test_a_shape_that_is_more_than_a_shape_is_refused(text):
    with pytest.raises(ModelRefused, match="Expected a symbolic shape"):
        shape(text)


@pytest.mark.parametrize(
    "text",
    [
        "Integer(-3)",
        "Symbol('s77', positive=True, integer=True)",
        "Add(FloorDiv(Add(Symbol('s77', integer=True), Integer(-1)), Integer(2)), Integer(1))",
        "Mul(Float('0.5', precision=53), ToFloat(Symbol('u0', integer=True)))",
    ],
)
def test_a_shape_is_written_as_it_was_read(text):
    assert str(shape(text)) == text


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
        "L == 1",
        "L['x'].size() == 1",
        "L['x y'].size()[0] == 1",
        "L['x'].size()[0] == 'x'",
        "1 < 2 < 3",
        "9 ** 9 == 1",
        "True",
    ],
)
def test_a_guard_that_is_more_than_a_comparison_is_refused(text):
    with pytest.raises(ModelRefused, match="Expected a guard on shapes"):
        guard(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("L['x'].size()[2] >= 3", "(L['x'].size()[2] >= 3)"),
        (
            "(1 + (((-3) + L['x'].size()[3]) // 2)) != 1",
            "((1 + (((-3) + L['x'].size()[3]) // 2)) != 1)",
        ),
        (
            "not (L['x'] % 2 == 0 and -L['x'] < 3)",
            "(not (((L['x'] % 2) == 0) and ((-L['x']) < 3)))",
        ),
        (
            "torch.sym_max(1, L['flat_args'][0].size()[0]**2) == 4",
            "(torch.sym_max(1, (L['flat_args'][0].size()[0] ** 2)) == 4)",
        ),
    ],
)
def test_a_guard_is_written_from_its_parts(text, written):
    assert str(guard(text)) == written


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.relu.out",
        "torch.ops.aten.relu.none",
        "torch.ops.aten.relu",
        "os.x",
    ],
)
def test_an_operator_that_networks_do_not_have_is_refused(target):
    with pytest.raises(ModelRefused, match=f"Expected an operator .* got '{target}'"):
        operator(target)


@pytest.mark.parametrize("name", ["1x", "x y", "x\n", "__x__", "lambda", "torch", "", "\uff58", 7])
def test_a_name_that_is_no_plain_identifier_is_refused(name):
    with pytest.raises(ModelRefused, match="that is a plain identifier"):
        identifier(name)
    with pytest.raises(ModelRefused, match="of plain identifiers"):
        dotted("x." + str(name) if name not in ("lambda", "torch", 7, "1x") else "x..y")


@pytest.mark.parametrize("name", ["data/aotinductor/model/x.so", "../x", "code/x.py"])
def test_a_record_that_networks_do_not_have_is_refused(name, tmp_path):
    real = export(Attending(), tmp_path / "real.pt2", torch.zeros(2, 3, 9, 9), 0)
    file = crafted(
        real,
        tmp_path / "canary",
        lambda made: made.entries.append((name, b"")),
        tmp_path / "model.pt2",
    )
    with pytest.raises(ModelRefused, match="the records of an exported network"):
        check_archive(file)
