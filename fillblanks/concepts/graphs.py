"""Graphs of a network: where it can be cut, and its two halves there.

A network f is cut at a node if every path from the images to the logits goes through that node:
then f = h(g(x)), g up to the node and h behind it. The halves share the weights of the network.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.graph import CodeGen

from fillblanks.engine.aten import GUARDS, NotRewritable
from fillblanks.engine.graph import exported

_SIZE = torch.ops.aten.sym_size.int


class NotCuttable(ValueError):
    """The network's graph cannot be had, or cannot be cut where it was asked for."""


def graph_of(net: nn.Module, example: Tensor) -> GraphModule:
    """The graph of `net`, without operations that overwrite values; the size of a batch is free.

    `example` is (N, C, H, W), N >= 2, normalised as the network's input is. Raises NotCuttable if
    torch.export does not take the network.
    """
    try:
        # Operations that overwrite stay as dead code, and would change what a half is given.
        graph = copy.deepcopy(exported(net, example).run_decompositions({}).module())
    except NotRewritable as error:
        raise NotCuttable(str(error)) from error
    assert isinstance(graph, GraphModule)
    for node in list(graph.graph.nodes):
        # Guards name the input of the whole network, which the second half does not have.
        if node.op == "call_module" and not node.users and str(node.target) == GUARDS:
            graph.graph.erase_node(node)
    _without_dead_code(graph)
    return graph


def cut_points(graph: GraphModule) -> list[Node]:
    """Nodes through which every path from images to logits goes, in their order.

    The input and the output are not among them. Paths by way of the size of a batch do not count.
    """
    nodes = list(graph.graph.nodes)
    path = _between(nodes)
    place = {node: number for number, node in enumerate(path)}
    found, furthest = [], 0
    for number, node in enumerate(path):
        # No edge that is alive jumps over the node.
        if number and furthest <= number and node.op == "call_function":
            found.append(node)
        furthest = max([furthest, *(place[user] for user in node.users if user in place)])
    return found


def values_at(graph: GraphModule, nodes: list[Node], example: Tensor) -> dict[Node, Tensor]:
    """The values that the graph has at some of its nodes for the images `example`.

    Nodes whose value is no tensor are left out.
    """
    seen: dict[Node, Tensor] = {}
    wanted = set(nodes)

    class Watching(Interpreter):
        def run_node(self, n: Node) -> object:
            value = super().run_node(n)
            if n in wanted and isinstance(value, Tensor):
                seen[n] = value
            return value

    with torch.no_grad():
        Watching(graph).run(example)
    return seen


def halves(graph: GraphModule, name: str) -> tuple[GraphModule, GraphModule]:
    """The two halves of `graph` at the node `name`: images to values, values to logits.

    Both take batches of any size and share the weights. Raises NotCuttable, with names of nodes
    that can be cut, if a path from the images to the logits goes around the node.
    """
    points = [node.name for node in cut_points(graph)]
    if name not in points:
        last = ", ".join(points[-8:])
        raise NotCuttable(
            f"Expected a node through which every path goes, got {name!r}. The last are {last}."
        )
    return _first(graph, name), _second(graph, name)


def giving(graph: GraphModule, names: Sequence[str]) -> GraphModule:
    """A graph that gives a tuple: the values that `graph` has at the nodes `names`.

    It shares the weights of `graph`.
    """
    other = GraphModule(graph, copy.deepcopy(graph.graph))
    nodes = {node.name: node for node in other.graph.nodes}
    other.graph.output_node().args = (tuple(nodes[name] for name in names),)
    return _finished(other)


def _first(graph: GraphModule, name: str) -> GraphModule:
    half = GraphModule(graph, copy.deepcopy(graph.graph))
    nodes = {node.name: node for node in half.graph.nodes}
    half.graph.output_node().args = (nodes[name],)
    return _finished(half)


def _second(graph: GraphModule, name: str) -> GraphModule:
    half = GraphModule(graph, copy.deepcopy(graph.graph))
    nodes = {node.name: node for node in half.graph.nodes}
    images = _images(half)
    with half.graph.inserting_before(images):
        values = half.graph.placeholder("values")
    nodes[name].replace_all_uses_with(values)
    for size in list(images.users):
        # The size of the batch is that of the values too.
        if size.target == _SIZE and size.args[1] == 0 and size.users:
            with half.graph.inserting_after(values):
                same = half.graph.call_function(_SIZE, (values, 0))
            size.replace_all_uses_with(same)
    output = half.graph.output_node()
    if isinstance(output.args[0], tuple | list):
        output.args = (output.args[0][0],)
    _without_dead_code(half)
    if images.users:
        others = ", ".join(user.name for user in images.users)
        raise NotCuttable(
            f"Expected nothing behind {name!r} to read the images, found {others}. Name another."
        )
    half.graph.erase_node(images)
    return _finished(half)


def _finished(half: GraphModule) -> GraphModule:
    half.graph.set_codegen(CodeGen())  # the network's own takes and gives trees of values
    _without_dead_code(half)
    half.graph.lint()
    half.recompile()
    return half


def _images(graph: GraphModule) -> Node:
    return next(node for node in graph.graph.nodes if node.op == "placeholder")


def _between(nodes: list[Node]) -> list[Node]:
    """The nodes on a path from the images to the logits."""
    alive = {next(node for node in nodes if node.op == "placeholder")}
    for node in nodes:
        if node.target != _SIZE and alive & set(node.all_input_nodes):
            alive.add(node)
    needed: set[Node] = set()
    left = [node for node in nodes if node.op == "output"]
    while left:
        node = left.pop()
        if node not in needed:
            needed.add(node)
            left += [one for one in node.all_input_nodes if node.target != _SIZE]
    return [node for node in nodes if node in alive and node in needed]


def _without_dead_code(graph: GraphModule) -> None:
    """Takes out what nothing reads, also dropout in evaluation mode, which torch.fx keeps."""
    for node in reversed(list(graph.graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.graph.erase_node(node)
    graph.recompile()
