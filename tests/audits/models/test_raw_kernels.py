"""Kernels that read beside tensors that do not fit are asked only if these fit."""

import pytest
import torch
from checked_graphs import Calling, checked
from crafting import export
from torch.nn import functional

from audits.errors import ModelRefused
from audits.models.pt2 import load_exported
from audits.models.pt2.graph import Input

ATEN = torch.ops.aten


def _attention(images, heads=1, keys=None):
    tokens = images.flatten(2)[:, None].expand(-1, 3, -1, -1)
    other = tokens[:, :heads] if keys is None else tokens[:, :, :keys]
    call = ATEN._scaled_dot_product_flash_attention_for_cpu.default
    return call(tokens.contiguous(), other.contiguous(), tokens.contiguous())[0]


def _batch_norm(images, **parts):
    given = {name: parts.get(name) for name in ("weight", "bias", "mean", "var")}
    call = ATEN._native_batch_norm_legit_no_training.default
    return call(images, *given.values(), 0.1, 1e-5)[0]


def _weight_norm(images, size):
    direction = images[:1, :, :3, :3].expand(4, 3, 3, 3).contiguous()
    return functional.conv2d(images, ATEN._weight_norm_interface.default(direction, size, 0)[0])


def _convolution(images, bias):
    kernel = images[:1, :, :3, :3].expand(4, 3, 3, 3).contiguous()
    return ATEN.mkldnn_convolution.default(images, kernel, bias, [0, 0], [1, 1], [1, 1], 1)


def _resized(images, scale=2.0, call=ATEN.upsample_nearest2d.default):
    return call(images, [16, 16], scale, scale)


def _recurrent(images, bias=20, rows=2, last=False):
    side, sizes = images.flatten(1, 2), [torch.ones(20, 8), torch.ones(20, 5), torch.ones(20)]
    states = [torch.zeros(2, rows, 5)] * 2
    params = [*sizes, torch.ones(bias), *sizes[:3], torch.ones(20)]
    kinds = (True, 1, 0.0, False, True, True)
    return ATEN.lstm.input(side, states, params[last:], *kinds)[0]


def _sampled(images, mode=0, padding=0):
    grid = images[:, :2].permute(0, 2, 3, 1)
    return ATEN.grid_sampler.default(images, grid, mode, padding, False)


def _in_half_precision(images, *size):
    larger = torch.ones(1, 1, *size, dtype=torch.bfloat16)
    grid = images[:1, :2].permute(0, 2, 3, 1).bfloat16()
    return ATEN.grid_sampler.default(larger, grid, 0, 1, True)


def _turned(images, contiguous=True):
    tokens = images.flatten(2)[:, None].transpose(2, 3)
    tokens = tokens.contiguous() if contiguous else tokens
    return ATEN._scaled_dot_product_flash_attention_for_cpu.default(tokens, tokens, tokens)[0]


FULL = {name: torch.full((3,), 0.5) for name in ("weight", "bias", "mean", "var")}
NETWORKS = {
    "batch norm": (_batch_norm, FULL, {"weight": torch.ones(1)}),
    "its mean": (_batch_norm, FULL, {"mean": torch.ones(2)}),
    "weight norm": (_weight_norm, {"size": torch.ones(4, 1, 1, 1)}, {"size": torch.ones(4)}),
}
CALLS = {
    "bias": (_recurrent, lambda x: _recurrent(x, bias=1)),
    "states": (_recurrent, lambda x: _recurrent(x, rows=1)),
    "weights": (_recurrent, lambda x: _recurrent(x, last=True)),
    "mode": (_sampled, lambda x: _sampled(x, mode=3)),
    "padding": (_sampled, lambda x: _sampled(x, padding=3)),
    "16 bits count the pixels": (
        lambda x: _in_half_precision(x, 128, 255),
        lambda x: _in_half_precision(x, 255, 255),
    ),
    "8 bits name the last column": (
        lambda x: _in_half_precision(x, 2, 256),
        lambda x: _in_half_precision(x, 2, 260),
    ),
    "strides": (_turned, lambda x: _turned(x, contiguous=False)),
    "heads": (lambda x: _attention(x, heads=3), lambda x: _attention(x, heads=1)),
    "keys": (lambda x: _attention(x, keys=3), lambda x: _attention(x, keys=2)),
    "scale": (_resized, lambda x: _resized(x, 1e-30)),
    "sign": (_resized, lambda x: _resized(x, -2.0)),
    "groups": (
        lambda x: ATEN.native_group_norm.default(x, None, None, 2, 3, 64, 3, 1e-5)[0],
        lambda x: ATEN.native_group_norm.default(x, None, None, 0, 3, 64, 3, 1e-5)[0],
    ),
    "frequencies": (
        lambda x: ATEN._fft_r2c.default(x, [2, 3], 0, True).abs(),
        lambda x: ATEN._fft_r2c.default(x, [2, -1], 0, True).abs(),
    ),
    "frequencies back": (
        lambda x: ATEN._fft_c2r.default(x + 0j, [3], 0, 14),
        lambda x: ATEN._fft_c2r.default(x + 0j, [3], 0, 12),
    ),
    "tokens": (
        lambda x: ATEN.scaled_dot_product_attention.default(x, x, x),
        lambda x: ATEN.scaled_dot_product_attention.default(x, x[0], x[0]),
    ),
}


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_constants_have_to_fit(name):
    call, fitting, changed = NETWORKS[name]
    expected = Calling(call, **fitting)(IMAGES)
    assert torch.equal(checked(call, **fitting)(IMAGES), expected)
    with pytest.raises(ValueError, match=r"Expected tensors that fit together for aten\."):
        checked(call, **{**fitting, **changed})(IMAGES)


@pytest.mark.parametrize("name", CALLS)
def test_arguments_have_to_fit(name):
    fitting, other = CALLS[name]
    assert torch.equal(checked(fitting)(IMAGES), fitting(IMAGES))
    with pytest.raises(ValueError, match=r"Expected tensors that fit together for aten\."):
        checked(other)(IMAGES)


def test_a_network_of_an_archive_ischecked(tmp_path):
    """At its export torch spreads one weight over all channels; the kernel reads on behind it."""
    small = {**FULL, "weight": torch.ones(1)}
    for constants in (FULL, small):
        net = Calling(_batch_norm, **constants)
        file = export(net, tmp_path / "model.pt2", IMAGES)
        loaded = load_exported(file, "cpu")
        if constants is FULL:
            assert torch.equal(loaded(IMAGES), net(IMAGES))
    with pytest.raises(ValueError, match=r"got shapes \[\(2, 3, 8, 8\), \(1,\)"):
        loaded(IMAGES)


@pytest.mark.parametrize("name", ["dtype", "memory_format"])
def test_a_number_is_no_dtype(name):
    """Kernels take a dtype from its number, and go by whatever size lies behind that."""
    given = {"name": name, "arg": {"as_int": 100}, "kind": 1}
    with pytest.raises(ModelRefused, match=f"Expected {name}, as_.*, got 'as_int'"):
        Input.read(given, "torch.ops.aten.to.dtype", 0)
    assert (
        Input.read({**given, "arg": {"as_none": True}}, "torch.ops.aten.to.dtype", 0).name == name
    )


@pytest.mark.parametrize(
    ("call", "name", "side"),
    [(_convolution, "bias", (4,)), (_weight_norm, "size", (4, 1, 1, 1))],
)
def test_kernels_that_take_tensors_for_dense_get_dense_ones(call, name, side):
    checked(call, **{name: torch.ones(side)})(IMAGES)
    double = torch.ones(8, *side[1:])[::2]
    with pytest.raises(ValueError, match=r"Expected tensors that fit together for aten\."):
        checked(call, **{name: double})(IMAGES)
    with pytest.raises(ValueError, match=r"memory of their own as \w+ of aten"):
        checked(call, **{name: double[:1].expand(side)})(IMAGES)
