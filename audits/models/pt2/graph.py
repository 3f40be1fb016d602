"""Graph: a network's nodes in their order, with the tensors and sizes between them."""

from collections.abc import Iterator
from dataclasses import dataclass

from audits.models.pt2.arguments import Argument, argument, one_of
from audits.models.pt2.documents import (
    Json,
    boolean,
    choice,
    field,
    items,
    mapping,
    number,
    refused,
    text,
)
from audits.models.pt2.names import dotted, identifier
from audits.models.pt2.notes import expect_notes
from audits.models.pt2.operators import HIGHER_ORDER, SYMBOLIC, arguments, operator
from audits.models.pt2.shapes import Shape, shape, symbols
from audits.models.pt2.tensors import Size, TensorMeta

_NODES = 100_000
_DEPTH = 3  # of graphs within graphs
_TOLD = "An assertion of the exported network failed."
# Of each type with tensors that an operator may want, the kinds of arguments with them.
_TENSORS = {
    "Tensor": ("as_tensor",),
    "Optional[Tensor]": ("as_tensor",),
    "List[Tensor]": ("as_tensors",),
    "List[Optional[Tensor]]": ("as_tensors", "as_optional_tensors"),
}
_LISTED = ("List[Tensor]", "List[Optional[Tensor]]")
_TENSOR_KINDS = ("as_tensor", "as_tensors", "as_optional_tensors")
_KINDS = {"ScalarType": "as_scalar_type", "Layout": "as_layout", "MemoryFormat": "as_memory_format"}
PLACES = ("as_tensor", "as_sym_int", "as_none", "as_int", "as_float", "as_bool")
"""The kinds of a graph's inputs."""


@dataclass(frozen=True)
class Subgraph:
    """A graph that an operator is given, under a name."""

    name: str
    graph: "Graph"


@dataclass(frozen=True)
class Input:
    """An input of a node; `kind` is 1 if it is given by its place, 2 by its name."""

    name: str
    value: Argument | Subgraph
    kind: int | None

    @classmethod
    def read(cls, value: Json, target: str, depth: int) -> "Input":
        """Raises ModelRefused."""
        name = text(field(value, "name", "an input of a node"), "the name of an input")
        types: dict[str, str] = {}
        if target in HIGHER_ORDER or target in SYMBOLIC:
            known = name == "" or bool(identifier(name, "the name of an input"))
        else:
            types = arguments(target) or {}
            known = name in types
        if not known:
            raise refused(f"an argument of {target}", name)
        kind = value.get("kind")
        if kind not in (None, 1, 2) or isinstance(kind, bool):
            raise refused("an input by place or by name", kind)
        arg = field(value, "arg", "an input of a node")
        if target in HIGHER_ORDER and choice(arg, "an input of a node")[0] == "as_graph":
            inner = arg["as_graph"]
            name_of_graph = identifier(field(inner, "name", "a graph"))
            dotted(name_of_graph, "a name of a graph")  # torch makes it an attribute of a module
            graph = Graph.read(field(inner, "graph", "a graph"), depth + 1)
            return cls(name, Subgraph(name_of_graph, graph), kind)
        if "_assert_" in target and choice(arg, "an input of a node")[0] == "as_string":
            return cls(name, Argument("as_string", _TOLD), kind)
        found = argument(arg)
        if name in types:
            _expect_kind(found, types[name], name)
        return cls(name, found, kind)

    def json(self) -> Json:
        """As torch writes it."""
        if isinstance(self.value, Subgraph):
            arg = {"as_graph": {"name": self.value.name, "graph": self.value.graph.json()}}
        else:
            arg = self.value.json()
        return {"name": self.name, "arg": arg, "kind": self.kind}


def _expect_kind(found: Argument, wanted: str, name: str) -> None:
    """Raises ModelRefused for a number if torch's kernels want a dtype or the like.

    And for a tensor if they want a list of them, or none.
    """
    tensors = found.kind in _TENSOR_KINDS  # a number may stand for a tensor
    if (tensors or wanted in _LISTED) and found.kind not in _TENSORS.get(wanted, ()):
        raise refused(f"{name}, {wanted}", found.kind)
    for word, kind in _KINDS.items():
        if word in wanted and found.kind not in (kind, "as_none"):
            raise refused(f"{name}, {kind}", found.kind)


@dataclass(frozen=True)
class Node:
    """One call of an operator."""

    target: str
    inputs: tuple[Input, ...]
    outputs: tuple[Argument, ...]
    is_hop_single_tensor_return: bool | None
    name: str | None

    @classmethod
    def read(cls, value: Json, depth: int) -> "Node":
        """Raises ModelRefused."""
        target = operator(field(value, "target", "a node"))
        expect_notes(field(value, "metadata", "a node"))
        single, name = value.get("is_hop_single_tensor_return"), value.get("name")
        return cls(
            target=target,
            inputs=tuple(
                Input.read(one, target, depth)
                for one in items(field(value, "inputs", "a node"), "inputs")
            ),
            outputs=tuple(
                _output(one) for one in items(field(value, "outputs", "a node"), "outputs")
            ),
            is_hop_single_tensor_return=single and boolean(single, "a flag of a node"),
            name=name if name is None else identifier(name, "the name of a node"),
        )

    def json(self) -> Json:
        """As torch writes it, without stack traces and other notes."""
        return {
            "target": self.target,
            "inputs": [one.json() for one in self.inputs],
            "outputs": [one.json() for one in self.outputs],
            "metadata": {},
            "is_hop_single_tensor_return": self.is_hop_single_tensor_return,
            "name": self.name,
        }


@dataclass(frozen=True)
class Graph:
    """Nodes in their order. `sizes` and `conditions` are those that nodes compute, by name."""

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[Node, ...]
    tensors: dict[str, TensorMeta]
    sizes: dict[str, Size]
    conditions: dict[str, Shape | bool]
    reals: dict[str, Shape | float | str]
    is_single_tensor_return: bool

    @classmethod
    def read(cls, value: Json, depth: int = 0) -> "Graph":
        """Raises ModelRefused."""
        if depth > _DEPTH:
            raise refused(f"graphs within graphs up to {_DEPTH} deep", "more")
        nodes = items(field(value, "nodes", "a graph"), "nodes")
        if len(nodes) > _NODES:
            raise refused(f"at most {_NODES} nodes", len(nodes))
        if value.get("custom_obj_values"):
            raise refused("no custom objects", list(value["custom_obj_values"]))
        return cls(
            inputs=tuple(one_of(one, "an input", PLACES) for one in _listed(value, "inputs")),
            outputs=tuple(argument(one, "an output") for one in _listed(value, "outputs")),
            nodes=tuple(Node.read(one, depth) for one in nodes),
            tensors={name: TensorMeta.read(one) for name, one in _values(value, "tensor_values")},
            sizes={
                name: Size.read(one, -(1 << 40)) for name, one in _values(value, "sym_int_values")
            },
            conditions={name: _condition(one) for name, one in _values(value, "sym_bool_values")},
            reals={name: _real(one) for name, one in _values(value, "sym_float_values")},
            is_single_tensor_return=boolean(
                value.get("is_single_tensor_return", False), "a flag of a graph"
            ),
        )

    def json(self) -> Json:
        """As torch writes it."""
        return {
            "inputs": [one.json() for one in self.inputs],
            "outputs": [one.json() for one in self.outputs],
            "nodes": [one.json() for one in self.nodes],
            "tensor_values": {name: meta_json(one) for name, one in self.tensors.items()},
            "sym_int_values": {name: one.json() for name, one in self.sizes.items()},
            "sym_bool_values": {
                name: {"as_bool": one} if isinstance(one, bool) else _expression(one)
                for name, one in self.conditions.items()
            },
            "sym_float_values": {
                name: {"as_float": one} if isinstance(one, float | str) else _expression(one)
                for name, one in self.reals.items()
            },
            "is_single_tensor_return": self.is_single_tensor_return,
            "custom_obj_values": {},
        }

    @property
    def symbols(self) -> set[str]:
        """The names of the symbols in its shapes and those of its inner graphs."""
        shapes = [one.value for one in self.sizes.values() if not isinstance(one.value, int)]
        others = [*self.conditions.values(), *self.reals.values()]
        shapes += [one for one in others if not isinstance(one, bool | float | str)]
        found = {name for one in shapes for name in symbols(one)}
        found |= {name for one in self.tensors.values() for name in one.symbols}
        values = [given.value for node in self.nodes for given in node.inputs]
        inner = [one.graph for one in values if isinstance(one, Subgraph)]
        return found.union(*(graph.symbols for graph in inner))


def meta_json(meta: TensorMeta) -> Json:
    """A TensorMeta as torch writes it."""
    return {
        "dtype": meta.dtype,
        "sizes": [one.json() for one in meta.sizes],
        "requires_grad": meta.requires_grad,
        "device": {"type": meta.device.type, "index": meta.device.index},
        "strides": [one.json() for one in meta.strides],
        "storage_offset": meta.storage_offset.json(),
        "layout": meta.layout,
    }


def _listed(value: Json, key: str) -> list[Json]:
    return items(field(value, key, "a graph"), key)


def _values(value: Json, key: str) -> Iterator[tuple[str, Json]]:
    for name, one in mapping(value.get(key, {}), key).items():
        yield identifier(name, "the name of a value"), one


def _output(value: Json) -> Argument:
    kinds = ("as_tensor", "as_tensors", "as_sym_int", "as_sym_bool", "as_sym_float", "as_none")
    return one_of(value, "an output of a node", kinds)


def _expression(found: Shape) -> Json:
    return {"as_expr": {"expr_str": str(found), "hint": None}}


def _condition(value: Json) -> Shape | bool:
    kind, inner = choice(value, "a condition")
    if kind == "as_expr":
        return shape(text(field(inner, "expr_str", "a condition"), "a symbolic shape"))
    return boolean(inner, "a condition")


def _real(value: Json) -> Shape | float | str:
    kind, inner = choice(value, "a number")
    if kind == "as_expr":
        return shape(text(field(inner, "expr_str", "a number"), "a symbolic shape"))
    return number(inner, "a number")
