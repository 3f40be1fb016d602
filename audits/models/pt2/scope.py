"""Scope: each name in a graph stands for one value of one kind, which is there before it is used.

torch looks values up by their names alone: it also finds all results of an operator under the name
of its node, a tensor if a size is asked for, and of two inner graphs with one name the later. What
is read off a graph, such as effects.py, would then be told of other values than those that run.
"""

from collections.abc import Iterable

from audits.models.pt2.arguments import Argument
from audits.models.pt2.documents import refused
from audits.models.pt2.graph import Graph, Node, Subgraph
from audits.models.pt2.operators import AUTOCAST, HIGHER_ORDER, SYMBOLIC, overload
from audits.models.pt2.signature import InputSpec, OutputSpec

# Of each kind of argument that names values, the table of a graph in which they stand.
_TABLES = {
    **dict.fromkeys(("as_tensor", "as_tensors", "as_optional_tensors"), "tensors"),
    **dict.fromkeys(("as_sym_int", "as_sym_ints"), "sizes"),
    **dict.fromkeys(("as_sym_bool", "as_sym_bools"), "conditions"),
    **dict.fromkeys(("as_sym_float", "as_sym_floats"), "reals"),
}
_SINGLE = ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float")
_NUMBERS = ("as_int", "as_float", "as_bool", *_SINGLE[1:])
# Of the type of an operator's result, the kinds by which it is given back.
_RESULTS = {
    "Tensor": ("as_tensor", "as_none"),
    "List[Tensor]": ("as_tensors",),
    "bool": ("as_sym_bool",),
}
# The place of a region's graph among its inputs, behind settings of these kinds.
_GRAPH_AT = {AUTOCAST: 4}
_SETTINGS = ("as_bool", "as_string", "as_scalar_type", "as_none")


def expect_scoped(
    graph: Graph, inputs: tuple[InputSpec, ...] = (), outputs: tuple[OutputSpec, ...] = ()
) -> None:
    """Raises ModelRefused unless torch finds the same values under the graph's names as we do.

    `inputs` and `outputs` are those of the signature; an inner graph has none.
    """
    _expect_told([one.value for one in inputs], graph.inputs)
    _expect_told([one.value for one in outputs], graph.outputs)
    scope = _Scope(graph, {one.target.split(".")[0] for one in inputs})
    for one in graph.inputs:
        plain = one.kind not in _SINGLE
        if not one.names and not (plain and inputs):  # an inner graph is given tensors and sizes
            raise refused("an input that is a value of the graph", one.kind)
        scope.define(one)
    for node in graph.nodes:
        for given in node.inputs:
            if isinstance(given.value, Subgraph):
                scope.define_graph(given.value)
            else:
                scope.expect(given.value)
        _expect_results(node)
        for one in node.outputs:
            scope.define(one)
    for one in graph.outputs:
        scope.expect(one)
    scope.expect_own_names()


def _expect_told(told: list[Argument], values: tuple[Argument, ...]) -> None:
    for one, value in zip(told, values, strict=bool(told)):
        if one != value:
            raise refused("a signature of the values that the graph has", one.value)


class _Scope:
    """The names of a graph that have a value by now; `modules`, of the network's parts."""

    def __init__(self, graph: Graph, modules: Iterable[str]):
        self.graph = graph
        self.defined: set[str] = set()
        self.modules = set(modules)
        self.tables: dict[str, str] = {}
        for table in dict.fromkeys(_TABLES.values()):
            for name in getattr(graph, table):
                if self.tables.setdefault(name, table) != table:
                    raise refused("a name of one value", name)

    def define(self, value: Argument) -> None:
        self._expect_kind(value)
        for name in value.names:
            if name in self.defined:
                raise refused("a name of one value", name)
            self.defined.add(name)

    def define_graph(self, inner: Subgraph) -> None:
        if inner.name in self.modules:
            raise refused("a name of one graph", inner.name)
        self.modules.add(inner.name)
        expect_scoped(inner.graph)

    def expect(self, value: Argument) -> None:
        self._expect_kind(value)
        if unknown := [name for name in value.names if name not in self.defined]:
            raise refused("values that the graph has by then", unknown[0])

    def _expect_kind(self, value: Argument) -> None:
        for name in value.names:
            if self.tables.get(name) != _TABLES[value.kind]:
                raise refused(f"a value of the kind {value.kind}", name)

    def expect_own_names(self) -> None:
        """Raises ModelRefused if the name of a node is that of another value than its result."""
        for node in self.graph.nodes:
            if node.name is None:
                continue
            result = _single(node)
            if node.name != result if result else node.name in self.tables:
                raise refused("a node with the name of its result", node.name)


def _single(node: Node) -> str | None:
    """The name of a node's result, if that is what torch calls the node."""
    if len(node.outputs) != 1 or node.outputs[0].kind not in _SINGLE:
        return None
    if node.target in HIGHER_ORDER and node.is_hop_single_tensor_return is False:
        return None
    return node.outputs[0].names[0] if node.outputs[0].names else ""


def _expect_results(node: Node) -> None:
    """Raises ModelRefused unless a node gives back what its operator does."""
    kinds = [one.kind for one in node.outputs]
    if node.target in HIGHER_ORDER:
        known = kinds == [one.kind for one in _region(node).outputs]
    elif node.target in SYMBOLIC:
        numbers = all(_kind(one.value) in _NUMBERS for one in node.inputs)
        known = numbers and len(kinds) == 1 and kinds[0] in _SINGLE[1:]
    else:
        types = [str(one.real_type) for one in overload(node.target)._schema.returns]
        known = kinds == ["as_none"] if kinds and not types else _fit(types, kinds)
    if not known or not all(_named(one) for one in node.outputs):
        raise refused(f"the results of {node.target}", kinds)


def _fit(types: list[str], kinds: list[str]) -> bool:
    """Whether results of these types are given back as these kinds."""
    allowed = [_RESULTS.get(one, _SINGLE[1:]) for one in types]
    pairs = zip(allowed, kinds, strict=False)
    return len(types) == len(kinds) and all(kind in found for found, kind in pairs)


def _region(node: Node) -> Graph:
    """The graph of a region. Raises ModelRefused unless it is given its inputs in their order."""
    at = _GRAPH_AT.get(node.target, 1)
    kinds = [_kind(one.value) for one in node.inputs]
    in_order = all(one.name == "" and one.kind != 2 for one in node.inputs)
    plain = all(kind in _SETTINGS for kind in kinds[:at])
    if not in_order or not plain or kinds[at : at + 1] != ["as_graph"]:
        raise refused("a region of a network with its graph in its place", kinds)
    inner = node.inputs[at].value
    assert isinstance(inner, Subgraph)
    if kinds[at + 1 :] != [one.kind for one in inner.graph.inputs]:
        raise refused("a region of a network with the inputs of its graph", kinds)
    return inner.graph


def _kind(value: Argument | Subgraph) -> str:
    return "as_graph" if isinstance(value, Subgraph) else value.kind


def _named(value: Argument) -> bool:
    """Whether a result, if there is one, has a name."""
    return value.kind == "as_none" or bool(value.names)
