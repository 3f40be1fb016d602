"""A network that is cut computes the same in two halves, at a place that knows where things are."""

import io

import pytest
import torch
import torchvision
from captum.attr import LayerGradCam
from torch import nn

from fillblanks.concepts.cut import Cut, cut
from fillblanks.concepts.graphs import NotCuttable, cut_points, graph_of, halves

MODELS = torchvision.models


class Residual(nn.Module):
    """Two convolutions, one of them in a residual block, with operations that overwrite."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.last = nn.BatchNorm2d(6), nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu_(self.first(x))
        x = torch.relu_(x + self.norm(self.second(x)))
        return self.last(nn.functional.dropout(x.mean((2, 3)), training=self.training))


def _vit(side=64, patch=8, layers=4, heads=3, width=192):
    net = MODELS.VisionTransformer(side, patch, layers, heads, width, 2 * width, num_classes=4)
    nn.init.normal_(net.heads.head.weight, std=0.02)  # torchvision's is zero
    return net


def _flattening():
    """A network whose head sees a map as a vector, by a view."""
    head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 64, 4))
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), head)


def _made(make, *given, **named):
    torch.manual_seed(0)
    return make(*given, **named).eval()


def _expect_same(net, found, side, batches=(1, 5)):
    for size in batches:
        images = torch.rand(size, 3, side, side, requires_grad=True)
        values = found.encode(images)
        logits, expected = found.decode(values), net(images)
        assert torch.equal(logits, expected)
        weights = torch.randn(expected.shape[1])
        (own,) = torch.autograd.grad((logits @ weights).sum(), images)
        (slope,) = torch.autograd.grad((expected @ weights).sum(), images)
        torch.testing.assert_close(own, slope, rtol=1e-5, atol=1e-7)
        vectors = found.vectors(values)
        assert vectors.shape == (size, found.rows * found.columns, found.channels)
        assert torch.equal(found.with_vectors(values, vectors), values)


def test_a_convolutional_network_is_cut_behind_its_last_block():
    net = _made(Residual)
    found = cut(net, torch.rand(2, 3, 8, 8))
    assert (found.layout, found.channels, found.rows, found.columns) == ("channels_first", 6, 8, 8)
    assert found.nonnegative
    _expect_same(net, found, 8)


@pytest.mark.slow
def test_tokens_are_cut_where_the_logits_still_depend_on_places():
    net = _made(_vit, 16, 4, 2, 2, 16)
    found = cut(net, torch.rand(2, 3, 16, 16))
    assert (found.layout, found.channels, found.rows, found.columns) == ("tokens", 16, 4, 4)
    assert found.others == 1
    _expect_same(net, found, 16)
    values = found.encode(torch.rand(1, 3, 16, 16)).detach().requires_grad_()
    (slope,) = torch.autograd.grad(found.decode(values).sum(), values)
    assert (found.vectors(slope).abs().sum(2) > 0).all()


def test_a_pt2_is_cut_as_the_module_is():
    net, images = _made(Residual), torch.rand(2, 3, 8, 8)
    program = torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim("n")},))
    saved = io.BytesIO()
    torch.export.save(program, saved)
    saved.seek(0)
    found = cut(torch.export.load(saved).module(), images)
    assert found.channels == 6
    _expect_same(net, found, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [_flattening, lambda: _vit(16, 4, 2, 2, 16)], ids=["map", "tokens"]
)
def test_new_values_have_the_strides_that_the_second_half_was_made_for(make):
    net, images = _made(make), torch.rand(3, 3, 16, 16)
    found = cut(net, images)
    values = found.encode(images)
    # Strides of their own, as values that were computed have.
    vectors = found.vectors(values).clone(memory_format=torch.contiguous_format)
    given = found.with_vectors(values, vectors)
    assert given.stride() == values.stride()
    assert torch.equal(given, values)
    assert torch.equal(found.decode(given), net(images))


def test_a_half_leaves_what_it_is_given_as_it_was():
    net, images = _made(Residual), torch.rand(2, 3, 8, 8)
    graph = graph_of(net, images)
    for node in cut_points(graph):
        encode, decode = halves(graph, node.name)
        values = encode(images)
        kept = values.clone()
        assert torch.equal(decode(values), net(images)), node.name
        assert torch.equal(values, kept), node.name


@pytest.mark.soak
def test_a_node_inside_a_residual_block_is_refused():
    net, images = _made(Residual), torch.rand(2, 3, 8, 8)
    graph = graph_of(net, images)
    points = {node.name for node in cut_points(graph)}
    inside = [n.name for n in graph.graph.nodes if "norm" in str(n.target) or n.name == "conv2d_1"]
    assert inside
    for name in inside:
        assert name not in points
        with pytest.raises(NotCuttable, match=f"got '{name}'. The last are "):
            halves(graph, name)
        with pytest.raises(NotCuttable, match=f"got '{name}'. The last are "):
            cut(net, images, at=name)


@pytest.mark.slow
def test_a_named_node_is_taken_and_one_without_places_is_refused():
    net, images = _made(Residual), torch.rand(2, 3, 8, 8)
    assert cut(net, images, at="relu").name == "relu"
    with pytest.raises(NotCuttable, match="Expected 'mean' to have values for at least 4 places"):
        cut(net, images, at="mean")


@pytest.mark.slow
def test_networks_without_places_or_graph_are_refused():
    dense = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with pytest.raises(NotCuttable, match="found none"):
        cut(dense, torch.rand(2, 3, 4, 4))

    class Choosing(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :2] if x.sum() > 0 else -x.flatten(1)[:, :2]

    with pytest.raises(NotCuttable, match=r"torch\.export"):
        cut(Choosing(), torch.rand(2, 3, 4, 4))


@pytest.mark.slow
def test_grad_cam_at_the_cut_is_that_at_the_layer():
    net, images = _made(MODELS.squeezenet1_1, num_classes=5), torch.rand(2, 3, 64, 64)
    found = cut(net, images)
    both = nn.Sequential(found.encode, found.decode)
    at_cut = LayerGradCam(both, both[0]).attribute(images, target=2)
    at_layer = LayerGradCam(net, net.features[12]).attribute(images, target=2)
    torch.testing.assert_close(at_cut, at_layer, rtol=1e-5, atol=1e-8)


def test_oblong_images_have_oblong_grids():
    net = _made(Residual)
    found = cut(net, torch.rand(2, 3, 4, 12))
    assert (found.rows, found.columns) == (4, 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "layout", "grid"),
    [
        (MODELS.resnet18, "channels_first", (512, 2, 2)),
        pytest.param(
            *(MODELS.mobilenet_v3_small, "channels_first", (576, 2, 2)), marks=pytest.mark.soak
        ),
        pytest.param(
            *(MODELS.efficientnet_b0, "channels_first", (1280, 2, 2)), marks=pytest.mark.soak
        ),
        pytest.param(
            *(MODELS.convnext_tiny, "channels_first", (768, 2, 2)), marks=pytest.mark.soak
        ),
        pytest.param(*(MODELS.swin_t, "channels_last", (768, 2, 2)), marks=pytest.mark.soak),
        (_vit, "tokens", (192, 8, 8)),
    ],
    ids=["resnet18", "mobilenet_v3", "efficientnet_b0", "convnext", "swin", "vit"],
)
def test_networks_that_people_use_are_cut(make, layout, grid):
    net = _made(make)
    found: Cut = cut(net, torch.rand(2, 3, 64, 64))
    assert (found.layout, (found.channels, found.rows, found.columns)) == (layout, grid)
    _expect_same(net, found, 64)
