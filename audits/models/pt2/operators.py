"""Operators: those that exported image networks have, by name; torch would look up any other."""

import re
from functools import cache
from importlib import import_module, resources
from typing import Any

import torch

from audits.models.pt2.documents import Json, refused

# aten operators by their names without a trailing "_": torch's core operators, and those that
# networks of torchvision, timm and transformers are exported with. None reads or writes a file.
_ATEN = frozenset(
    resources.files("audits.models.pt2").joinpath("operators.txt").read_text().split()
)
_PRIMS = {"convert_element_type", "view_of", "broadcast_in_dim", "transpose", "collapse_view"}
_QUANTIZED = {
    "quantize_per_tensor",
    "dequantize_per_tensor",
    "quantize_per_channel",
    "dequantize_per_channel",
}
AUTOCAST = "torch.ops.higher_order.wrap_with_autocast"
# Regions of a network under torch.no_grad or torch.autocast; their graphs are read like others.
HIGHER_ORDER = {"torch.ops.higher_order.wrap_with_set_grad_enabled", AUTOCAST}
# Arithmetic on sizes.
SYMBOLIC = {
    *(f"_operator.{name}" for name in ("eq", "ne", "le", "ge", "lt", "gt", "neg", "pos")),
    *(f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "truediv", "mod")),
    *(f"_operator.{name}" for name in ("and_", "or_")),
    *(f"torch.sym_{name}" for name in ("not", "int", "float", "ite", "max", "min", "sqrt")),
    "math.trunc",
}
# Normalisation writes its statistics if a flag is set; torch's schemas do not always say so.
STATISTICS = ("running_mean", "running_var")
_OVERLOAD = re.compile(r"torch\.ops\.(aten|prims|quantized_decomposed)\.(\w+)\.(\w+)", re.ASCII)
_RETURNED = re.compile(r"(Tensor|SymInt|int|Scalar|number|bool|List\[Tensor\])")


def operator(value: Json) -> str:
    """`value` if it names a known operator. Raises ModelRefused."""
    if isinstance(value, str) and (value in SYMBOLIC or value in HIGHER_ORDER or _known(value)):
        return value
    raise refused("an operator that image networks are exported with", value)


def _known(target: str) -> bool:
    found = _OVERLOAD.fullmatch(target)
    if not found:
        return False
    namespace, name, kind = found.groups()
    if namespace == "aten":
        listed = name in _ATEN or (name.endswith("_") and name[:-1] in _ATEN)
    else:
        listed = name in (_PRIMS if namespace == "prims" else _QUANTIZED)
    # "prim" is TorchScript's, which takes a number for a dtype.
    return listed and arguments(target) is not None and "prim" not in kind.split("_")


@cache
def overload(target: str) -> Any:
    """The overload that an operator's name stands for; None if torch has none."""
    _, _, namespace, name, kind = target.split(".")
    if namespace == "quantized_decomposed":
        import_module("torch.ao.quantization.fx._decomposed")  # registers the operators
    return getattr(getattr(getattr(torch.ops, namespace), name, None), kind, None)


@cache
def arguments(target: str) -> dict[str, str] | None:
    """The types of an overload's arguments, by name; None if torch has none of tensors.

    None as well if it writes into them without a "_" at the end of its name, as those do that put
    results into given tensors and resize these. Batch normalisation may write its statistics.
    """
    found = overload(target)
    # TorchScript has functions of texts and lists under the names of operators.
    if found is None or not all(
        _RETURNED.fullmatch(str(one.type)) for one in found._schema.returns
    ):
        return None
    returned = [str(one.type) for one in found._schema.returns]
    given = [str(one.type) for one in found._schema.arguments]
    if returned and not any("Tensor" in one for one in (*returned, *given)):
        return None
    in_place = target.split(".")[3].endswith("_")
    written = {one.name for one in found._schema.arguments if one.is_write}
    if not in_place and written - set(STATISTICS):
        return None
    return {one.name: str(one.real_type) for one in found._schema.arguments}
