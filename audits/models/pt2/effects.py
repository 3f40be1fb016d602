"""Effects: refuses networks that write into tensors that outlive a call, or answer by chance.

Operators run one after the other, each at every call, so this can be read off the graph. A tensor
"lasts" if it may share its numbers with an input of the graph: a parameter, a buffer, a constant,
or the images. Operators that write are allowed on all other tensors.
"""

from typing import Any

import torch

from audits.errors import ModelRefused
from audits.models.pt2.documents import refused
from audits.models.pt2.graph import Graph, Input, Node, Subgraph
from audits.models.pt2.operators import HIGHER_ORDER, STATISTICS, SYMBOLIC, overload
from audits.models.pt2.signature import InputSpec, OutputSpec

# Operators whose result may be one of their inputs, or share its numbers, though torch's schemas
# do not say so: for some arguments only, or by design ("unsafe").
_MAY_PASS_ON = {
    "_unsafe_view",
    "alpha_dropout",
    "broadcast_tensors",
    "cartesian_prod",
    "channel_shuffle",
    "clip",
    "column_stack",
    "diag",
    "diff",
    "dropout",
    "dstack",
    "einsum",
    "fake_quantize_per_channel_affine",
    "fake_quantize_per_tensor_affine",
    "feature_alpha_dropout",
    "feature_dropout",
    "float_power",
    "hstack",
    "meshgrid",
    "native_channel_shuffle",
    "native_dropout",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "repeat_interleave",
    "rrelu",
    "take_along_dim",
    "tensordot",
    "tile",
    "type_as",
    "unsafe_chunk",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "vstack",
}
_FRESH_PRIMS = "convert_element_type"
_TRAINING = ("training", "use_input_stats")
# By these arguments an operator that may answer by chance is told not to.
_CHANCE_FLAGS, _CHANCE_SHARES = ("train", "training"), ("p", "dropout", "dropout_p")
# What such memory holds is what an earlier call has left there.
_UNSET = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
# All results of these but the first may be memory that their kernels leave as it was: room for a
# gradient, or for the state of random numbers that are not drawn.
_LEAVE_UNSET = (
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "cudnn_batch_norm",
    "native_batch_norm",
)
_SET_WHOLLY = ("fill_", "zero_", "copy_")
_CURE = "If the network was exported in training mode, call net.eval() before it is logged."


def expect_without_effects(
    graph: Graph, inputs: tuple[InputSpec, ...], outputs: tuple[OutputSpec, ...]
) -> None:
    """Raises ModelRefused if the network changes itself or its images, or draws random numbers."""
    for output in outputs:
        if output.kind != "user_output":
            raise _remembers(output.target, "an output of its graph")
    owners = {
        name: "its images" if one.kind == "user_input" else one.target
        for one in inputs
        for name in one.value.names
    }
    _lasting(graph, owners)


def _lasting(graph: Graph, owners: dict[str, str]) -> dict[str, str]:
    """The owner of each tensor that lasts, by its name in the graph. Raises ModelRefused."""
    owners, unset = dict(owners), set[str]()
    for node in graph.nodes:
        if node.target in HIGHER_ORDER:
            _expect_set(node, unset)
            _take_inner(node, owners)
            continue
        passed_on = [name for one in node.inputs for name in _names(one)]
        if node.target not in SYMBOLIC:  # torch.sym_ite gives back one of its inputs
            given = _by_name(node)
            _expect_no_chance(node, given)
            for name in _written(node, given):
                if name in owners:
                    raise _remembers(owners[name], _short(node.target))
            passed_on = _passed_on(node, given)
        _expect_set(node, unset)
        unset |= _left_unset(node)
        owner = next((owners[name] for name in passed_on if name in owners), None)
        if owner is not None:
            owners |= dict.fromkeys(_outputs(node), owner)
    if unset & {name for one in graph.outputs for name in one.names}:
        raise _unset()
    return owners


def _take_inner(node: Node, owners: dict[str, str]) -> None:
    """Looks at the inner graph of a region; its outputs last if they do inside.

    scope.py has seen that the region has one graph, and all its inputs behind it.
    """
    at = next(i for i, one in enumerate(node.inputs) if isinstance(one.value, Subgraph))
    inner = node.inputs[at].value
    assert isinstance(inner, Subgraph)
    outer = node.inputs[at + 1 :]
    given = {
        name: owners[other]
        for mine, theirs in zip(inner.graph.inputs, outer, strict=True)
        for name in mine.names
        for other in _names(theirs)
        if other in owners
    }
    inside = _lasting(inner.graph, given)
    back = [name for one in inner.graph.outputs for name in one.names]
    if found := next((inside[name] for name in back if name in inside), None):
        owners |= dict.fromkeys(_outputs(node), found)


def _by_name(node: Node) -> dict[str, Input]:
    """Inputs by the names of the arguments that they become.

    Raises ModelRefused if torch would give one to another argument than it says.
    """
    names = [argument.name for argument in _schema(node.target).arguments]
    placed = [one.name for one in node.inputs if one.kind == 1]
    given = {one.name: one for one in node.inputs}
    if placed != names[: len(placed)] or len(given) != len(node.inputs):
        raise refused(f"arguments of {_short(node.target)} in their order", list(given))
    return given


def _expect_no_chance(node: Node, given: dict[str, Input]) -> None:
    if not _by_chance(node.target):
        return
    defaults = {one.name: one.default_value for one in _schema(node.target).arguments}
    known = {name for name in defaults if name in given or defaults[name] is not None}
    values = {name: _value(given[name]) if name in given else defaults[name] for name in known}
    flags = [name for name in _CHANCE_FLAGS if name in defaults]
    shares = [name for name in _CHANCE_SHARES if name in defaults]
    off = any(values.get(name) is False for name in flags)
    none = any(type(values.get(name)) in (int, float) and values[name] == 0 for name in shares)
    if off or none:
        return
    if flags or shares:
        raise ModelRefused(
            f"Expected a network exported in evaluation mode, got {_name(node.target)} in training "
            "mode. Call net.eval() before it is logged."
        )
    raise ModelRefused(
        f"Expected a network whose answers do not depend on chance, got {_short(node.target)}, "
        f"which draws random numbers. Take it out. {_CURE}"
    )


def _written(node: Node, given: dict[str, Input]) -> list[str]:
    """The names of the tensors that the operator may write into."""
    arguments = [one.name for one in _schema(node.target).arguments if one.is_write]
    if any(name in given and _value(given[name]) is not False for name in _TRAINING):
        arguments += STATISTICS
    return [name for one in arguments if one in given for name in _names(given[one])]


def _passed_on(node: Node, given: dict[str, Input]) -> list[str]:
    """The names of the tensors with which a result may share its numbers."""
    shared = may_pass_on(node.target)
    return [name for one, value in given.items() if one in shared for name in _names(value)]


def may_pass_on(target: str) -> set[str]:
    """The arguments of an operator with which a result may share its numbers."""
    found = _schema(target)
    name, prims = _name(target), target.startswith("torch.ops.prims.")
    if name.removesuffix("_") in _MAY_PASS_ON or (prims and name != _FRESH_PRIMS):
        return {one.name for one in found.arguments}
    if not any(one.alias_info for one in found.returns):
        return set()
    return {one.name for one in found.arguments if one.alias_info}


def _expect_set(node: Node, unset: set[str]) -> None:
    """Raises ModelRefused if the operator uses memory in which nothing has been put.

    It may be the tensor that is filled, if no other input is such memory, nor the same.
    """
    read = [name for one in node.inputs for name in _names(one) if name in unset]
    filled = [one for one in node.inputs if one.name == "self"]
    filled = filled if _name(node.target) in _SET_WHOLLY else []
    if read != [name for one in filled for name in _names(one) if name in unset]:
        raise _unset()
    unset -= set(read)


def _left_unset(node: Node) -> set[str]:
    """The names of the node's results in whose memory nothing need have been put."""
    name = _name(node.target)
    results = [result for one in node.outputs for result in one.names]
    if name in _LEAVE_UNSET:  # of a list of results too the first is set
        first = node.outputs[0].names[:1] if node.outputs else ()
        return {result for result in results if result not in first or results.count(result) > 1}
    return set(results) if name in _UNSET else set()


def _value(given: Input) -> object:
    """A plain value; for a tensor or a size of the graph, something that equals no value."""
    if isinstance(given.value, Subgraph) or given.value.kind not in (
        "as_bool",
        "as_int",
        "as_float",
    ):
        return object()
    found: object = given.value.value
    return found


def _names(given: Input) -> tuple[str, ...]:
    return () if isinstance(given.value, Subgraph) else given.value.names


def _outputs(node: Node) -> set[str]:
    return {name for one in node.outputs for name in one.names}


def _by_chance(target: str) -> bool:
    return torch.Tag.nondeterministic_seeded in overload(target).tags


def _schema(target: str) -> Any:
    return overload(target)._schema


def _short(target: str) -> str:
    return target.removeprefix("torch.ops.")


def _name(target: str) -> str:
    return _short(target).split(".")[1]


def _remembers(owner: str, operator: str) -> ModelRefused:
    return ModelRefused(
        f"Expected a network that stays as it is while it answers, got one that changes {owner} by "
        f"{operator}. Remove that memory. {_CURE}"
    )


def _unset() -> ModelRefused:
    return ModelRefused(
        "Expected a network that fills the memory that it asks for, got one that reads what an "
        "earlier call has left there, by aten.empty or another result of an operator than its "
        "first. Use torch.zeros."
    )
