"""The class names that an ONNX graph has: labels of its nodes, and `names` of its metadata."""

from collections.abc import Iterator, Sequence
from typing import Any

from audits.errors import quoted
from audits.models.class_names import names_in
from audits.models.flavours.onnx_file import graphs_of
from audits.models.plain_literal import plain_literal

_NAMES, _LONGEST_NAMES = "names", 1_000_000  # a key of metadata_props, and its characters
_OF_TORCH = (
    "namespace",
    *(f"pkg.torch.onnx.{key}" for key in ("class_hierarchy", "fx_node", "name_scopes")),
    *(f"pkg.torch.onnx.{key}" for key in ("original_node_name", "stack_trace")),
)
_FORMS = ("Cast", "Flatten", "Identity", "Normalizer", "Reshape", "Softmax", "Squeeze", "ZipMap")
_FLOAT_TYPES = (1, 10, 11)  # float, float16 and double, by ONNX's numbers


def labels_of(model: Any) -> tuple[str, ...] | None:
    """Class names that the graph has: skl2onnx's, or `names` of its metadata, as YOLO's have them.

    skl2onnx's are those of the last node that has labels and leads to an output, if the graph gives
    a label; else those of the node whose scores the output is.
    """
    outputs = {output.name for output in model.graph.output}
    label = any(not _is_numbers(output) for output in model.graph.output)
    nodes = _leading(model, outputs) if label else _giving(model, outputs)
    for node in nodes:
        found = _labels_in(node)
        if found:
            return found
        if any(one.name.startswith("classlabels_") for one in node.attribute):
            break  # its labels are numbers from 0, and not those of earlier nodes
    told = next((one.value for one in model.metadata_props if one.key == _NAMES), "")
    return _names_in(told) if 0 < len(told) <= _LONGEST_NAMES else None


def all_labels(model: Any) -> list[tuple[str, ...]]:
    """The labels of all nodes, also of those that lead to no output."""
    graphs = [graph for body in (model.graph, *model.functions) for graph in graphs_of(body)]
    return [found for graph in graphs for node in graph.node if (found := _labels_in(node))]


def texts_of(model: Any) -> list[tuple[str, str]]:
    """Properties and descriptions in the graph that may name classes: the place in words, the text.

    What torch's exporter writes about each node, and descriptions of nodes and weights, are left
    out: lines of code.
    """
    graphs = [graph for body in (model.graph, *model.functions) for graph in graphs_of(body)]
    values = [one for graph in graphs for one in _values(graph)]
    weights = [one for graph in graphs for one in getattr(graph, "initializer", ())]
    nodes = [one for graph in graphs for one in graph.node]
    described = [("description", one) for one in (model, *graphs, *values)]
    described += [("description of an output", one) for one in model.graph.output]
    # From ONNX 1.16 on all of these have properties.
    whole = [told for one in (model, *graphs, *model.functions) for told in _properties(one)]
    parts = [told for one in (*values, *weights, *nodes) for told in _properties(one)]
    properties = [*whole, *(told for told in parts if told.key not in _OF_TORCH)]
    return [
        *((place, one.doc_string) for place, one in described if one.doc_string),
        *((f"property {quoted(told.key)}", told.value) for told in properties),
    ]


def _properties(holder: Any) -> Sequence[Any]:
    found: Sequence[Any] = getattr(holder, "metadata_props", ())
    return found


def _values(graph: Any) -> Iterator[Any]:
    """The inputs, outputs and values in a graph; a function has but names of its own."""
    for kind in ("input", "output", "value_info"):
        yield from (one for one in getattr(graph, kind, ()) if not isinstance(one, str))


def _giving(model: Any, outputs: set[str]) -> Iterator[Any]:
    """The nodes whose result is the output but for its form, the last first."""
    wanted = set(outputs)
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output):
            yield node
            wanted = set(node.input[:1]) if node.op_type in _FORMS else set()


def _leading(model: Any, outputs: set[str]) -> Iterator[Any]:
    """The nodes that lead to the outputs, the last first, and all nodes of graphs within them.

    A function is looked at once: functions may call each other more often than can be counted.
    """
    functions = {(one.domain, one.name): one for one in model.functions}
    left: list[tuple[Sequence[Any], set[str]]] = [(model.graph.node, outputs)]
    while left:
        nodes, wanted = left.pop()
        for node in reversed(nodes):
            if wanted.isdisjoint(node.output):
                continue
            graphs = [one for a in node.attribute for one in (a.g, *a.graphs)]
            within = [n for graph in graphs for inner in graphs_of(graph) for n in inner.node]
            for one in (node, *reversed(within)):
                yield one
                wanted |= set(one.input)
                body = functions.pop((one.domain, one.op_type), None)
                if body is not None:
                    left.append((body.node, set(body.output)))


def _labels_in(node: Any) -> tuple[str, ...]:
    """The labels of a node of skl2onnx; numbers from 0 are none."""
    for attribute in node.attribute:
        if attribute.name in ("classlabels_strings", "cats_strings") and attribute.strings:
            return tuple(value.decode(errors="replace") for value in attribute.strings)
        if attribute.name in ("classlabels_int64s", "classlabels_ints", "cats_int64s"):
            numbers = list(attribute.ints)
            if numbers != list(range(len(numbers))):
                return tuple(str(number) for number in numbers)
    return ()


def _names_in(told: str) -> tuple[str, ...] | None:
    """The names in a text such as "{0: 'cat', 1: 'dog'}"; None if it is of another form."""
    try:
        return names_in(plain_literal(told))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _is_numbers(output: Any) -> bool:
    """Whether it is a tensor of floats, and no label."""
    kind = output.type.tensor_type.elem_type if output.type.HasField("tensor_type") else None
    return kind in _FLOAT_TYPES
