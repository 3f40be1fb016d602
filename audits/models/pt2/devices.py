"""Devices: refuses networks that are told to compute otherwise on one kind of device than another.

A region under `torch.autocast` names a kind of device and computes in half precision there, and
only there. A network may so be another one on the GPU of a server than on the CPU of an audit.
"""

from typing import Any

from audits.errors import ModelRefused, quoted
from audits.models.pt2.documents import refused
from audits.models.pt2.graph import Graph, Node, Subgraph
from audits.models.pt2.operators import AUTOCAST

_ARGUMENTS = ("device_type", "dtype", "enabled", "cache_enabled")
_KINDS = ("cpu", "cuda")


def expect_alike_on_devices(graph: Graph) -> None:
    """Raises ModelRefused if a region of the network computes in half precision on some devices.

    A region that switches autocast off is allowed: it changes nothing where autocast is off.
    """
    for node in graph.nodes:
        if node.target == AUTOCAST:
            _expect_switched_off(node)
        for one in node.inputs:
            if isinstance(one.value, Subgraph):
                expect_alike_on_devices(one.value.graph)


def _expect_switched_off(node: Node) -> None:
    given = node.inputs[: len(_ARGUMENTS)]
    if len(given) < len(_ARGUMENTS) or any(one.name or one.kind == 2 for one in node.inputs):
        raise refused(f"autocast by {', '.join(_ARGUMENTS)}, in their order", len(given))
    device, _, enabled, _ = (_plain(one.value) for one in given)
    if device not in _KINDS:
        raise refused("autocast of cpu or cuda", device)
    if enabled is not False:
        raise ModelRefused(
            "Expected a network that computes alike on every kind of device, got a region under "
            f"torch.autocast({quoted(device)}). Take autocast out of the network and "
            "export it anew."
        )


def _plain(value: Any) -> object:
    """A plain value, or something that equals none."""
    if isinstance(value, Subgraph) or value.kind not in ("as_string", "as_bool"):
        return object()
    found: object = value.value
    return found
