"""Checks before operators whose kernels trust that tensors fit. For the child process alone.

torch calls these kernels behind checks of its own, but a graph may name them itself. With tensors
that do not fit they read memory beside these: what lies there differs from process to process, so
an audit and a server would get other answers. They were found by calling each operator that is
allowed here with arguments by chance, over two fillings of free memory (torch 2.15.0).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from audits.errors import Contradicted
from audits.models.pt2.overlaps import named_apart, shared_by

_Given = Mapping[str, Any]
_COUNTED_BY_BFLOAT16 = 256
_SCALES = {"scales": -1, "scales_w": -1, "scales_h": -2, "scales_d": -3}


def check_kernels(net: nn.Module) -> None:
    """Has each such operator in the graphs of `net` look at its tensors before it is called.

    They raise Contradicted then, and no ordinary error: a server gets an answer there.
    """
    for module in net.modules():
        if not isinstance(module, GraphModule):
            continue
        found = [node for node in module.graph.nodes if _is_looked_at(node.target)]
        for node in found:
            node.target = _checked(node.target)
        if found:
            module.recompile()


def _is_looked_at(target: Any) -> bool:
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return False
    return _rule(target) is not None or bool(named_apart(target))


def _rule(target: torch._ops.OpOverload) -> Callable[[_Given], bool] | None:
    return _RULES.get(target._schema.name.removeprefix("aten::").removesuffix("_"))


def mistake(target: torch._ops.OpOverload, given: Mapping[str, Any]) -> str:
    """Why an operator must not be called with these arguments, in a line; "" if it may."""
    if name := shared_by(target, given):
        return (
            f"Expected numbers with memory of their own as {name} of {target}, got some that share "
            "it, as expand and unfold give them. Call contiguous() on them before the export."
        )
    rule = _rule(target)
    if rule is None or rule(given):
        return ""
    shapes = [tuple(one.shape) for one in given.values() if isinstance(one, Tensor)]
    return (
        f"Expected tensors that fit together for {target}, got shapes {shapes}. Export the network "
        "anew."
    )


def _checked(target: torch._ops.OpOverload) -> Callable[..., Any]:
    names = [argument.name for argument in target._schema.arguments]

    def checked(*args: Any, **kwargs: Any) -> Any:
        if wrong := mistake(target, {**dict(zip(names, args, strict=False)), **kwargs}):
            raise Contradicted(wrong)
        return target(*args, **kwargs)

    checked.__wrapped__ = target  # type: ignore[attr-defined]  # as functools.wraps has it
    checked.__name__ = checked.__qualname__ = f"checked_{target._schema.name.rpartition(':')[2]}"
    return checked


def _batch_norm(given: _Given) -> bool:
    images, channels = given["input"], given["input"].shape[1:2]
    statistics = [given.get("running_mean"), given.get("running_var")]
    if not given.get("training") and any(one is None for one in statistics):
        return False
    parts = [given.get("weight"), given.get("bias"), *statistics]
    return images.ndim > 1 and all(one is None or one.shape == channels for one in parts)


def _group_norm(given: _Given) -> bool:
    rows, channels, groups = given["N"], given["C"], given["group"]
    shape = given["input"].shape
    return (
        tuple(shape[:2]) == (rows, channels)
        and rows * channels * given["HxW"] == given["input"].numel() > 0
        and groups > 0
        and channels % groups == 0
    )


def _weight_norm(given: _Given) -> bool:
    direction, size, dim = given["v"], given["g"], given.get("dim", 0)
    sizes = [side if at == dim else 1 for at, side in enumerate(direction.shape)]
    dense = direction.is_contiguous() and size.is_contiguous()  # the kernel writes as if they were
    same = list(size.shape) == sizes and size.dtype == direction.dtype
    return 0 <= dim < direction.ndim and same and dense


def _convolution(given: _Given) -> bool:
    return given["bias"] is None or given["bias"].is_contiguous()  # it is read as if it were


def _attention(given: _Given) -> bool:
    query, key, value = (given[name] for name in ("query", "key", "value"))
    return (
        query.ndim == key.ndim == value.ndim == 4
        and query.stride(3) == key.stride(3) == value.stride(3) == 1
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and query.shape[3] == key.shape[3] == value.shape[3]
        and key.shape[2] == value.shape[2]
        and 0 not in (*query.shape[1:], *key.shape[1:])
        and _masks(given.get("attn_mask", given.get("attn_bias")), query, key)
    )


def _any_attention(given: _Given) -> bool:
    """As `_attention` for any number of dimensions, of which the first may be of size 1."""
    query, key, value = (given[name] for name in ("query", "key", "value"))
    shared = given.get("enable_gqa", False)  # heads of key and value by several of the query
    least = 4 if shared else 2
    sides = zip(query.shape[:-2], key.shape[:-2], value.shape[:-2], strict=False)
    return (
        least <= query.ndim == key.ndim == value.ndim
        and all(_alike(*side) for side in (list(sides)[:-1] if shared else sides))
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
        and (not shared or key.shape[-3] == value.shape[-3])
        and 0 not in (*query.shape[1:], *key.shape[1:])
        and _masks(given.get("attn_mask"), query, key)
    )


def _masks(mask: Tensor | None, query: Tensor, key: Tensor) -> bool:
    """Whether a mask (..., L, S) can be spread over the pairs of query and key."""
    if mask is None:
        return True
    wanted = (*query.shape[:-1], key.shape[-2])
    return mask.ndim <= len(wanted) and all(
        own in (1, side) for own, side in zip(mask.shape[::-1], wanted[::-1], strict=False)
    )


def _alike(*sides: int) -> bool:
    return len({side for side in sides if side != 1}) < 2


def _fourier(given: _Given) -> bool:
    images, dims = given["self"], list(given["dim"])
    known = bool(dims) and len(set(dims)) == len(dims) and set(dims) <= set(range(images.ndim))
    if not known or "last_dim_size" not in given:
        return known
    last = given["last_dim_size"]
    return last > 0 and images.shape[dims[-1]] == last // 2 + 1


def _sampled(given: _Given) -> bool:
    images = given["input"]
    kinds = 2 if images.ndim == 5 else 3
    known = 0 <= given["interpolation_mode"] < kinds and 0 <= given["padding_mode"] < 3
    if images.ndim != 4 or images.element_size() > 2:
        return known
    # In half precision the kernel counts places with 16 bits, and rounds the last ones of a side.
    sides = list(zip(images.shape[2:], images.stride()[2:], strict=True))
    last = sum((side - 1) * stride for side, stride in sides)
    return known and last < 2**15 and max(images.shape[2:]) <= _COUNTED_BY_BFLOAT16


def _recurrent(gates: int) -> Callable[[_Given], bool]:
    """The rule of a recurrent network, by the number of blocks in each of its matrices."""

    def fits(given: _Given) -> bool:
        states = given["hx"] if isinstance(given["hx"], (list, tuple)) else [given["hx"]]
        directions = 2 if given["bidirectional"] else 1
        batched = "batch_sizes" not in given
        inputs = given["input" if batched else "data"]
        if inputs.ndim != (3 if batched else 2) or any(one.ndim != 3 for one in states):
            return False
        rows = inputs.shape[0 if given["batch_first"] else 1] if batched else None
        own, out = states[-1].shape[-1], states[0].shape[-1]  # with a projection they differ
        layers = given["num_layers"] * directions
        wanted: list[tuple[int, ...]] = []
        for layer in range(given["num_layers"]):
            taken = directions * out if layer else inputs.shape[-1]
            one: list[tuple[int, ...]] = [(gates * own, taken), (gates * own, out)]
            one += [(gates * own,)] * 2 if given["has_biases"] else []
            wanted += (one + ([(out, own)] if out != own else [])) * directions
        return (
            [tuple(one.shape) for one in given["params"]] == wanted
            and {one.dtype for one in (*given["params"], *states)} == {inputs.dtype}
            and all(one.shape[0] == layers for one in states)
            and all(rows in (None, one.shape[1]) for one in states)
        )

    return fits


def _resized(given: _Given) -> bool:
    """Whether the scales, if there are any, are those of the two sizes."""
    if "self" not in given:  # it computes the scales itself
        return True
    if len(given["output_size"]) != given["self"].ndim - 2:
        return False
    for name, at in _SCALES.items():
        scale = given.get(name)
        if scale is not None and not (
            scale > 0 and abs(given["self"].shape[at] * scale - given["output_size"][at]) <= 1
        ):
            return False
    return True


_RULES: Mapping[str, Callable[[_Given], bool]] = {
    **dict.fromkeys(
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_native_batch_norm_legit_no_training",
            "cudnn_batch_norm",
        ),
        _batch_norm,
    ),
    "native_group_norm": _group_norm,
    "mkldnn_convolution": _convolution,
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), _weight_norm),
    **dict.fromkeys(
        (
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
        ),
        _attention,
    ),
    "scaled_dot_product_attention": _any_attention,
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), _sampled),
    "lstm": _recurrent(4),
    "gru": _recurrent(3),
    **dict.fromkeys(("rnn_relu", "rnn_tanh"), _recurrent(1)),
    **dict.fromkeys(("_fft_c2c", "_fft_c2r", "_fft_r2c"), _fourier),
    **dict.fromkeys(
        (
            "_upsample_bicubic2d_aa",
            "_upsample_bilinear2d_aa",
            "_upsample_nearest_exact2d",
            "upsample_bicubic2d",
            "upsample_bilinear2d",
            "upsample_linear1d",
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
            "upsample_trilinear3d",
        ),
        _resized,
    ),
}
