"""Operators get tensors whose numbers share memory if they read them right, and no others."""

from importlib import resources

import pytest
import torch
from checked_graphs import checked

from audits.errors import Contradicted
from audits.models.pt2.overlaps import named_apart, overlap
from fillblanks.engine.aten import operations

ATEN = torch.ops.aten
READERS = resources.files("audits.models.pt2").joinpath("overlap_readers.txt").read_text().split()


def _drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def _spread(*shape, dim=0):
    """One number everywhere along `dim`."""
    return _drawn(*[1 if at == dim else side for at, side in enumerate(shape)]).expand(shape)


def _windows(*shape):
    """Windows of a row, each of which begins one number behind the one before."""
    return _drawn(sum(shape)).as_strided(shape, [1] * len(shape))


IMAGES = (2, 3, 8, 8)
SHARED = {
    "spread": _spread(*IMAGES, dim=1),
    "spread images": _spread(*IMAGES),
    "columns": _spread(*IMAGES, dim=3),
    "windows": _windows(*IMAGES),
}
WEIGHTS = [_spread(4, 3, 3, 3), _spread(4, 3, 3, 3, dim=2), _windows(4, 3, 3, 3)]
VECTOR = _spread(3, dim=0)
MATRICES = [_spread(8, 8), _spread(8, 8, dim=1), _windows(8, 8)]
PLACES = torch.tensor([1]).expand(3)


def _norms(x):
    yield ATEN.batch_norm.default(x, VECTOR, VECTOR, VECTOR, VECTOR.abs(), False, 0.1, 1e-5, False)
    yield ATEN.group_norm.default(x, 3, VECTOR, VECTOR)
    yield ATEN.instance_norm.default(x, VECTOR, VECTOR, None, None, True, 0.1, 1e-5, False)
    for row in (_spread(8, dim=0), _drawn(8)):
        yield ATEN.layer_norm.default(x, [8], row, row)
        yield from ATEN.native_layer_norm.default(x, [8], row, row, 1e-5)
        yield ATEN.rms_norm.default(x, [8], row)


def _products(x):
    for weight in WEIGHTS:
        for bias in (None, _spread(4, dim=0)):
            yield ATEN.conv2d.default(x, weight, bias)
            yield ATEN.convolution.default(
                x, weight, bias, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
            )
        yield ATEN.conv2d.default(x, weight[:3, :1], None, [1, 1], [0, 0], [1, 1], 3)
        yield ATEN.conv1d.default(x[:, :, 0], weight[:, :, 0])
        yield ATEN.conv3d.default(
            x[None], weight[None].transpose(0, 1)[:, :1].expand(4, 2, 3, 3, 3)
        )
        yield ATEN.conv_transpose2d.input(x, weight.transpose(0, 1))
    for matrix in MATRICES:
        yield ATEN.linear.default(x, matrix, _spread(8, dim=0))
        yield ATEN.matmul.default(x, matrix)
        for left in (*MATRICES, _drawn(8, 8)):
            yield ATEN.mm.default(left, matrix)
            yield ATEN.mm.default(left.T, matrix)
            yield ATEN.addmm.default(left, matrix, matrix.T)
            yield ATEN.einsum.default("ij,kj->ik", [left, matrix])
        yield ATEN.bmm.default(x[:, 0], matrix.expand(2, 8, 8))
        yield ATEN.baddbmm.default(x[:, 1], x[:, 0], matrix.expand(2, 8, 8))


def _resized(x):
    for name in ("upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa"):
        yield getattr(ATEN, name).default(x, [5, 12], False)
    yield ATEN._upsample_bicubic2d_aa.default(x, [5, 12], False)
    yield ATEN.upsample_nearest2d.default(x, [5, 12])
    yield ATEN.adaptive_avg_pool2d.default(x, [3, 3])
    yield ATEN.adaptive_avg_pool1d.default(x[:, 0], [3])
    yield ATEN.avg_pool2d.default(x, [2, 2])
    yield ATEN.avg_pool1d.default(x[:, 0], [2])
    yield ATEN.max_pool2d.default(x, [2, 2])
    yield ATEN.max_pool1d.default(x[:, 0], [2])
    yield from ATEN.max_pool2d_with_indices.default(x, [2, 2])
    yield ATEN.constant_pad_nd.default(x, [1, 2], 0.5)
    for mode in ("constant", "reflect", "replicate"):
        yield ATEN.pad.default(x, [1, 2, 0, 1], mode)


def _taken(x):
    for dim in range(4):
        for name in ("sum", "mean", "amax", "amin", "std", "var"):
            yield getattr(ATEN, name)(x, [dim])
        yield from (*ATEN.var_mean(x, [dim]), *ATEN.std_mean(x, [dim]))
        yield from (ATEN.max.dim(x, dim)[0], ATEN.min.dim(x, dim)[0])
        yield from (ATEN.all.dim(x > 0, dim), ATEN.any.dim(x > 0, dim))
        yield from (ATEN.argmax.default(x, dim), ATEN.argmin.default(x, dim))
        yield from (ATEN.cumsum(x, dim), ATEN.logsumexp(x, [dim]), ATEN.flip(x, [dim]))
        yield from (ATEN.linalg_vector_norm(x, 2, [dim]), ATEN.norm.ScalarOpt_dim(x, 2, [dim]))
        for name in ("softmax.int", "log_softmax.int"):
            packet, kind = name.split(".")
            yield getattr(getattr(ATEN, packet), kind)(x, dim)
        for name in ("_softmax", "_log_softmax"):
            yield getattr(ATEN, name).default(x, dim, False)
        yield ATEN._safe_softmax.default(x, dim)
        yield ATEN.gather.default(
            x, dim, torch.zeros(1, 1, 1, 1, dtype=torch.long).expand(2, 3, 8, 8)
        )
        yield ATEN.index_select.default(x, dim, PLACES)
        yield ATEN.repeat_interleave.self_int(x, 2, dim)
        yield ATEN.roll.default(x, [1], [dim])
    yield from (ATEN.sum.default(x), ATEN.mean.default(x), ATEN.max.default(x), ATEN.min.default(x))
    yield from (ATEN.triu.default(x), ATEN.tril.default(x), ATEN.norm.Scalar(x))
    yield from (ATEN.all.default(x > 0), ATEN.any.default(x > 0))
    yield from (ATEN.index.Tensor(x, [None, None, PLACES]), ATEN._unsafe_index.Tensor(x, [PLACES]))
    yield ATEN.embedding.default(x[0, 0], PLACES)


def _copied(x):
    yield from (ATEN.clone.default(x), ATEN.expand_copy.default(x, [2, 2, 3, 8, 8]))
    yield from (
        ATEN.cat.default([x, x], 1),
        ATEN.concat.default([x]),
        ATEN.stack.default([x, x], 2),
    )
    yield from (
        ATEN.concatenate.default([x, x]),
        ATEN.hstack.default([x]),
        ATEN.vstack.default([x]),
    )
    yield from (ATEN.repeat.default(x, [1, 2, 1, 1]), ATEN.tile.default(x, [2]))
    yield from (
        ATEN._to_copy.default(x, dtype=torch.float64),
        ATEN._unsafe_view.default(x[None], [1, *IMAGES]),
    )
    yield from (ATEN.type_as.default(x, x.double()), ATEN.lift_fresh_copy.default(x))
    yield from ATEN.broadcast_tensors.default([x, x[:1]])
    yield from (ATEN.copy_(torch.zeros(IMAGES), x), ATEN.fill_(torch.zeros(2), x[0, 0, 0, 0]))
    yield from (ATEN.masked_fill.Scalar(x, x > 0, 2.0), ATEN.dropout.default(x, 0.5, False))
    yield from (ATEN.where.self(x > 0, x, -x), ATEN.prelu.default(x, VECTOR), ATEN.hardswish(x))
    yield ATEN._prelu_kernel.default(x, VECTOR.view(1, 3, 1, 1))
    for name in (
        "eq",
        "ne",
        "multiply",
        "subtract",
        "divide",
        "true_divide",
        "rsub",
    ):
        yield getattr(ATEN, name).Tensor(x, VECTOR.view(3, 1, 1))
    yield ATEN.floor_divide(x, VECTOR.view(3, 1, 1))
    yield from (ATEN.absolute.default(x), ATEN.negative.default(x))


TRIED = (_norms, _products, _resized, _taken, _copied)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("operators", TRIED)
def test_readers_answer_as_for_a_copy(operators, name, monkeypatch):
    x = SHARED[name]
    assert overlap(x)
    found = list(operators(x))
    for shared in ("VECTOR", "PLACES"):
        monkeypatch.setitem(globals(), shared, globals()[shared].clone())
    for shared in ("WEIGHTS", "MATRICES"):
        monkeypatch.setitem(globals(), shared, [one.contiguous() for one in globals()[shared]])
    expected = list(operators(x.contiguous()))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)


class Recording:
    """torch.ops.aten, which notes the operators that are asked for."""

    def __init__(self):
        self.names = set()

    def __getattr__(self, name):
        self.names.add(name)
        return getattr(torch.ops.aten, name)


def test_all_readers_are_tried(monkeypatch):
    recording = Recording()
    monkeypatch.setitem(globals(), "ATEN", recording)
    for operators in TRIED:
        list(operators(SHARED["spread"]))
    assert set(READERS) <= recording.names


REFUSED = {
    "median": lambda x: ATEN.median.dim(x, -1)[0],
    "nanmedian": lambda x: ATEN.nanmedian.dim(x, -1)[0],
    "sort": lambda x: ATEN.sort.default(x)[0],
    "topk": lambda x: ATEN.topk.default(x, 2)[0],
    "cdist": lambda x: ATEN._cdist_forward.default(x, x, 2.0, None),
    "attention": lambda x: ATEN.scaled_dot_product_attention.default(x, x + 0, x + 0),
    "its keys": lambda x: ATEN.scaled_dot_product_attention.default(x + 0, x, x + 0),
    "a kernel of it": lambda x: ATEN._scaled_dot_product_flash_attention_for_cpu.default(x, x, x)[
        0
    ],
    "what is written": lambda x: ATEN.copy_.default(x, x + 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_operators_get_numbers_of_their_own_alone(name):
    net, shared = checked(REFUSED[name]), _windows(2, 3, 8, 8)
    with pytest.raises(Contradicted, match="Expected numbers with memory of their own"):
        net(shared)
    own = shared.contiguous()
    assert torch.equal(net(own), REFUSED[name](own))


def test_a_mask_of_attention_may_be_shared_by_the_heads():
    x, mask = _drawn(2, 3, 8, 8), _spread(2, 3, 8, 8, dim=1)
    net = checked(lambda x: ATEN.scaled_dot_product_attention.default(x, x, x, mask))
    assert torch.isfinite(net(x)).all()


@pytest.mark.parametrize(
    ("tensor", "shared"),
    [
        (torch.zeros(2, 3), False),
        (torch.zeros(2, 3).T, False),
        (torch.zeros(4, 6)[::2, 1::2], False),
        (torch.zeros(3).expand(1, 3), False),
        (torch.zeros(0, 3).expand(4, 0, 3), False),
        (torch.zeros(3).expand(2, 3), True),
        (torch.zeros(9).unfold(0, 3, 2), True),
        (torch.zeros(9).unfold(0, 3, 3), False),
        ([torch.zeros(2), torch.zeros(1).expand(2)], True),
        (3, False),
    ],
)
def test_shared_memory_is_seen_by_sizes_and_strides(tensor, shared):
    assert overlap(tensor) == shared


def test_the_engine_sees_what_a_checked_operator_overwrites():
    net = checked(lambda x: ATEN.copy_.default(ATEN.clone.default(x), x))
    (node,) = (one for one in net.graph.nodes if "copy_" in str(one.target))
    assert operations().overwrites(node.target)


def test_pointwise_operators_and_views_get_any_tensor():
    for operator in (ATEN.add.Tensor, ATEN.relu_.default, ATEN.expand.default, ATEN.conv2d.default):
        assert named_apart(operator) == ()
