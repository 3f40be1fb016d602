"""Reading a network's graph as steps that can be bounded.

The graph is that of torch.export, so a registered pt2 is read as it is. An operation that is not
known here ends the reading with its name: no bound is guessed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from fillblanks.bounds.operations import OPERATIONS, Operation
from fillblanks.bounds.steps import Affine, Images, Program, Relu, Shape, Step
from fillblanks.classifier import Classifier
from fillblanks.concepts.graphs import NotCuttable, graph_of

_NORMALISED = 3  # terms: pixel, mean, division


class NotBounded(ValueError):
    """The network has an operation of which no bound is known, or it has no graph."""


def program_of(classifier: Classifier, images: Tensor) -> Program:
    """The classifier, with its normalisation, as steps from pixels in [0, 1] to logits.

    `images` are (N, C, H, W) in [0, 1], N >= 2, of the size that the network takes; nothing is read
    from their values. Raises NotBounded, with the name of the first operation that cannot be
    bounded.
    """
    with classifier.steady():
        given = classifier.to_input(images)
        normalised = classifier.normalised(given)
        try:
            graph = graph_of(classifier.net, normalised)
        except NotCuttable as error:
            raise NotBounded(str(error)) from error
        values = _values(graph, normalised)
        reader = Reader(classifier, tuple(given.shape[1:]), len(given))
        return reader.read(graph, values)


class Reader:
    """Makes steps of nodes. The operations in operations.py use it."""

    def __init__(self, classifier: Classifier, shape: Shape, batch: int):
        """`shape` is (C, H, W), `batch` the number of images with which the graph was run."""
        self.dtype, self._device, self._batch = classifier.dtype, classifier.device, batch
        self._steps: list[Step] = [Images()]
        self._shapes: list[Shape] = [shape]
        # Of each node: a constant, or the number of its step.
        self._constants: dict[Node, Any] = {}
        self._numbers: dict[Node, int] = {}
        self._values: dict[Node, Any] = {}
        std, mean = classifier.std.double(), classifier.mean.double()
        self._normalised = self.affine(
            (0,),
            shape,
            lambda x: x / std,
            lambda x: x / std,
            constant=(-mean / std).expand(1, *shape),
            terms=_NORMALISED,
        )

    def read(self, graph: GraphModule, values: dict[Node, Any]) -> Program:
        """The whole graph; `values` are those of its nodes for a batch of images."""
        self._values = values
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                self._numbers[node] = self._normalised
            elif node.op == "output":
                return self._program(node)
            elif not self._follows(node):
                self._constants[node] = values[node]
            elif isinstance(values[node], int | torch.SymInt):
                self._constants[node] = None  # the size of the batch, which shapes do not need
            else:
                self._numbers[node] = self._made(node)
        raise NotBounded("Expected a graph with an output, got one without.")

    def _program(self, node: Node) -> Program:
        given: Any = node.args[0]
        if isinstance(given, list | tuple):
            given = given[0]
        # Steps behind the logits do not exist: the last step that was made need not be theirs.
        last = self._numbers.get(given)
        if last is None or len(self._shapes[last]) != 1:
            raise NotBounded("Expected a graph from images to logits (N, K), got another.")
        end = last + 1
        return Program(
            tuple(self._steps[:end]), tuple(self._shapes[:end]), self.dtype, self._device
        )

    def _follows(self, node: Node) -> bool:
        """Whether a node's value depends on the images, or on how many there are."""
        return any(
            one in self._numbers or (one in self._constants and self._constants[one] is None)
            for one in node.all_input_nodes
        )

    def _made(self, node: Node) -> int:
        name = operation_of(node)
        make: Operation | None = OPERATIONS.get(name)
        if make is None:
            raise NotBounded(f"Expected operations of which bounds are known, got {name!r}.")
        value = self._values[node]
        if isinstance(value, tuple | list):
            value = value[0]
        if not isinstance(value, Tensor) or len(value) != self._batch:
            raise NotBounded(f"Expected each value to have the images first, got {name!r}.")
        if value.dtype != self.dtype:
            raise NotBounded(f"Expected {self.dtype} everywhere, got {value.dtype} by {name!r}.")
        made = make(self, node, tuple(value.shape[1:]))
        if made is None:
            raise NotBounded(
                f"Expected operations of which bounds are known, got this {name!r}"
                f"{self._shapes_told(node)}."
            )
        return made

    def _shapes_told(self, node: Node) -> str:
        """The shapes of the values that go into a node, without the axis of rows; as words."""
        given = {one: self.step(one) for one in node.all_input_nodes}
        shapes = [str(self._shapes[step]) for step in given.values() if step is not None]
        return f" of values of shape {' and '.join(shapes)}" if shapes else ""

    def step(self, node: Any) -> int | None:
        """The number of the step of an argument; None if it is a constant."""
        return self._numbers.get(node) if isinstance(node, Node) else None

    def constant(self, argument: Any) -> Any:
        """The value of an argument that does not depend on the images.

        Tensors are float64. Raises NotBounded if the argument depends on the images.
        """
        if isinstance(argument, Node):
            if argument not in self._constants:
                raise NotBounded(f"Expected a constant, got {argument.name!r}, which is computed.")
            argument = self._constants[argument]
            if argument is None:
                raise NotBounded("Expected values that do not depend on the number of images.")
        return argument.detach().double() if isinstance(argument, Tensor) else argument

    def shape_of(self, step: int) -> Shape:
        """The shape of a step's values without the axis of rows."""
        return self._shapes[step]

    def affine(
        self,
        inputs: tuple[int, ...],
        shape: Shape,
        apply: Callable[..., Tensor],
        absolute: Callable[..., Tensor] | None = None,
        **fields: Any,
    ) -> int:
        """Adds a linear step with values of `shape`; `absolute` is `apply` by default."""
        return self._added(Affine(inputs, apply, absolute or apply, **fields), shape)

    def relu(self, given: int) -> int:
        """Adds a ReLU."""
        return self._added(Relu((given,)), self._shapes[given])

    def _added(self, step: Step, shape: Shape) -> int:
        self._steps.append(step)
        self._shapes.append(shape)
        return len(self._steps) - 1


def operation_of(node: Node) -> str:
    """The name of a node's operation without its overload: "conv2d"."""
    target = node.target
    if hasattr(target, "_schema"):
        return str(target._schema.name).split("::")[1]
    return str(getattr(target, "__name__", target))


def _values(graph: GraphModule, images: Tensor) -> dict[Node, Any]:
    """The value of each node for a batch of images."""
    seen: dict[Node, Any] = {}

    class Watching(Interpreter):
        def run_node(self, n: Node) -> Any:
            seen[n] = super().run_node(n)
            return seen[n]

    with torch.no_grad():
        Watching(graph, garbage_collect_values=False).run(images)
    return seen
