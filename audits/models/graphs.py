"""Facts about an exported network that its graph states with certainty.

Other networks have no graph: every function then answers that nothing is known.
"""

from typing import Any, Literal

from torch import SymInt, nn
from torch.fx import GraphModule, Node

from audits.models.form import Bounds

Last = Literal["softmax", "log_softmax", "sigmoid", "linear"]

_LAST: dict[str, Last] = {
    "aten.softmax.int": "softmax",
    "aten._softmax.default": "softmax",
    "aten.log_softmax.int": "log_softmax",
    "aten._log_softmax.default": "log_softmax",
    "aten.sigmoid.default": "sigmoid",
    "aten.linear.default": "linear",
    "aten.addmm.default": "linear",
    "aten.mm.default": "linear",
    "aten.conv2d.default": "linear",
}
# Operations that change neither the values of a row nor their order.
_SAME_VALUES = (
    "aten.view.",
    "aten.reshape.",
    "aten.flatten.",
    "aten.squeeze.",
    "aten.clone.",
    "aten.contiguous.",
    "aten.alias.",
    "aten.to.",
    "aten._to_copy.",
)
_TRAINING_ARGUMENT = {"aten.batch_norm.default": 5, "aten.dropout.default": 2}
_UNSURE = 2  # torch writes down that a batch has 2 rows or more, and takes 1 all the same
_WITHOUT_END = 1_000_000  # more rows than anybody asks for at once
_RUNNING_MEAN = 3  # argument of batch_norm; None: statistics of its own input are meant


def stated_rows(net: nn.Module) -> Bounds | None:
    """The numbers of rows that the network says that it takes; None if it says nothing.

    A network without a graph of torch may say its `fixed_rows`.
    """
    fixed = getattr(net, "fixed_rows", None)
    if isinstance(fixed, int) and fixed > 0:
        return Bounds(fixed, fixed)
    for node in _nodes(net):
        if node.op == "placeholder":
            shape = getattr(node.meta.get("val"), "shape", None)
            return _bounds(shape[0]) if shape else None
    return None


def _bounds(rows: int | SymInt) -> Bounds | None:
    """The range that torch.export has written down for a size."""
    if isinstance(rows, int):
        return Bounds(rows, rows)
    environment = rows.node.shape_env
    stated = environment.var_to_range.get(rows.node.expr) if environment else None
    if stated is None:
        return None
    least = int(stated.lower) if stated.lower > _UNSURE else 1
    most = int(stated.upper) if stated.upper < _WITHOUT_END else None
    return Bounds(least, most)


def last_operation(net: nn.Module, container: str) -> Last | None:
    """The operation that computes the output; None if it is another one, or if unknown."""
    node = _output(net, container)
    while isinstance(node, Node) and str(node.target).startswith(_SAME_VALUES):
        node = node.args[0]
    if not isinstance(node, Node):
        return None
    last = _LAST.get(str(node.target))
    along_classes = last not in ("softmax", "log_softmax") or node.args[1] in (1, -1)
    return last if along_classes else None


def trains(net: nn.Module) -> str:
    """The name of an operation that was exported in training mode; "" if none is known."""
    for node in _nodes(net):
        name = str(node.target)
        at = _TRAINING_ARGUMENT.get(name)
        if at is None or len(node.args) <= at or node.args[at] is not True:
            continue
        idle = node.args[_RUNNING_MEAN] is None if at > _RUNNING_MEAN else node.args[1] == 0
        if not idle:
            return name.split(".")[1]
    return ""


def _nodes(net: nn.Module) -> list[Node]:
    return list(net.graph.nodes) if isinstance(net, GraphModule) else []


def _output(net: nn.Module, container: str) -> Any:
    """The node of the output that is taken; None if it is not sure which one that is."""
    (outputs,) = [node.args[0] for node in _nodes(net) if node.op == "output"] or [()]
    if not isinstance(outputs, tuple | list) or not outputs:
        return None
    return outputs[0] if len(outputs) == 1 or container == "[0]" else None
