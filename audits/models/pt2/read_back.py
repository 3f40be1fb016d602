"""Whether torch has made of an archive the graph that was read off it. For the child alone.

torch writes the graph that it has loaded, and that is read again: whatever torch looks up, orders
or replaces otherwise than this reader is seen, also what nobody has thought of.
"""

import json
from typing import Any

from torch._export.serde.serialize import EnumEncoder, GraphModuleSerializer, _dataclass_to_dict
from torch.export import ExportedProgram

from audits.models.pt2.documents import Json, document, field, items, refused
from audits.models.pt2.graph import Graph, Node, Subgraph
from audits.models.pt2.program import Program
from audits.models.pt2.signature import InputSpec, OutputSpec


def expect_same_graph(read: Program, loaded: ExportedProgram) -> None:
    """Raises ModelRefused unless `loaded` has the nodes, inputs and outputs that were `read`."""
    written = _written(loaded)
    signature = field(written, "signature", "a program")
    found = (
        [InputSpec.read(one) for one in items(signature["input_specs"], "inputs")],
        [OutputSpec.read(one) for one in items(signature["output_specs"], "outputs")],
        _steps(Graph.read(field(written, "graph", "a program"))),
    )
    if found != ([*read.inputs], [*read.outputs], _steps(read.graph)):
        raise refused("a graph that torch loads as it is written", "another")


def _written(loaded: ExportedProgram) -> Json:
    writer = GraphModuleSerializer(loaded.graph_signature, loaded.module_call_graph)
    written = _dataclass_to_dict(writer.serialize(loaded.graph_module))
    return document(json.dumps(written, cls=EnumEncoder).encode())


def _steps(graph: Graph) -> Any:
    """What a graph computes, without notes on its values, which torch may write otherwise."""
    return graph.inputs, graph.outputs, [_step(node) for node in graph.nodes]


def _step(node: Node) -> Any:
    given = {
        one.name or at: (one.value.name, _steps(one.value.graph))
        if isinstance(one.value, Subgraph)
        else one.value
        for at, one in enumerate(node.inputs)
    }
    return node.target, given, [one for one in node.outputs if one.kind != "as_none"]
