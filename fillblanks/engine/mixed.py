"""A network's graph whose backward pass runs in bfloat16, and its forward pass as it is.

Autograd keeps each gradient in the dtype of its value, and to convert at every layer would cost
the time that bfloat16 saves. So the backward pass is a tape of our own: while the graph runs, each
operation leaves a function that pulls a gradient back through it. Convolutions, ReLU, pooling,
concatenation and addition have their own rule; every other operation goes through autograd in the
dtype of its values. Weights are frozen: only the input has a gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import map_arg

from fillblanks.engine.aten import GUARDS, NotRewritable, Operations, operations
from fillblanks.engine.graph import conv_arguments, weight_of

_REDUCED = torch.bfloat16

Gradients = Sequence[Tensor | None]
# No pull holds its tape, which holds all pulls: if memory is too short for a pass, all that it has
# taken must be free before the next one.
Pull = Callable[[Tensor], Gradients]


class MixedGraph(nn.Module):
    """The logits of `graph`, bit for bit; their gradient at the input, computed in bfloat16.

    `graph` is a result of `rewritten`, `example` (N, C, H, W) an input of it. Raises NotRewritable
    if the tape cannot hold an operation of the graph, or if torch lacks a name that this takes.
    """

    def __init__(self, graph: GraphModule, example: Tensor):
        super().__init__()
        self.graph = graph
        self.aten = operations()
        self.rules = _rules(self.aten)
        self.reduced = nn.ParameterDict()
        for node in graph.graph.nodes:
            convolves = node.target == self.aten.conv
            kernel = weight_of(graph, conv_arguments(node)[1]) if convolves else None
            if kernel is not None:
                self.reduced[node.name] = nn.Parameter(kernel.to(_REDUCED), requires_grad=False)
        self._check(example)

    def forward(self, x: Tensor) -> Tensor:
        return _Pass.apply(x, self)

    def _check(self, example: Tensor) -> None:
        x = example.clone().requires_grad_()
        logits = self(x)
        with torch.no_grad():
            same = torch.equal(logits, self.graph(example.clone()))
        (gradient,) = torch.autograd.grad(logits.sum(), x)
        if not (same and gradient.isfinite().all()):
            raise NotRewritable(
                "Expected the same logits with a backward pass in bfloat16, and finite gradients, "
                "got other logits, or gradients that are not finite."
            )


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, net: MixedGraph) -> Tensor:
        if not context.needs_input_grad[0]:
            return net.graph(x)
        context.tape = _Tape(net)
        logits: Tensor = context.tape.run(x)
        context.tape.env.clear()  # of the logits, which hold the tape
        return logits

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> Any:
        return context.tape.pull(gradient), None


class _Tape(Interpreter):
    """One run of a graph, through which a gradient can be pulled back once."""

    def __init__(self, net: MixedGraph):
        super().__init__(net.graph)
        self.aten, self.rules, self.reduced = net.aten, net.rules, net.reduced
        self._active = set[Node]()  # those whose value has a gradient
        self._pulls: list[tuple[Node, list[Node], Pull]] = []
        (self._input,) = (n for n in net.graph.graph.nodes if n.op == "placeholder")
        (self._output,) = (n for n in net.graph.graph.nodes if n.op == "output")

    def run_node(self, n: Node) -> Any:
        inputs = [node for node in n.all_input_nodes if node in self._active]
        if n is self._input:
            self._active.add(n)
        if not inputs or n is self._output or n.target == GUARDS:
            return super().run_node(n)
        if n.op != "call_function":
            raise NotRewritable(f"Expected only functions in the graph, got {n.op} {n.target}.")
        if self.aten.overwrites(n.target) and self._others_read(n.args[0]):
            raise NotRewritable(
                f"Expected no other node to read the memory that {n.target} overwrites, but "
                f"{n.args[0]} is read."
            )
        rule = _any if n.kwargs else self.rules.get(n.target, _any)
        value, pull = rule(self, n, inputs)
        if pull is not None:
            self._active.add(n)
            self._pulls.append((n, inputs, pull))
        return value

    def pull(self, gradient: Tensor) -> Tensor | None:
        """The gradient at the input, in the dtype of `gradient`, which is that of the logits.

        None if the logits do not depend on the input.
        """
        dtype = gradient.dtype
        (logits,) = self._output.all_input_nodes
        gradients = {logits: gradient.to(_REDUCED)}
        while self._pulls:
            node, inputs, pull = self._pulls.pop()
            if node not in gradients:
                continue
            for source, part in zip(inputs, pull(gradients.pop(node)), strict=True):
                if part is not None:
                    known = gradients.get(source)
                    gradients[source] = part if known is None else known + part
        found = gradients.get(self._input)
        return None if found is None else found.to(dtype)

    def _others_read(self, node: Any) -> bool:
        """Whether other nodes than its one user need the value of `node`, or its memory."""
        memory = self.env[node].untyped_storage().data_ptr()
        living = [v for n, v in self.env.items() if n is not node and isinstance(v, Tensor)]
        return len(node.users) > 1 or any(
            value.untyped_storage().data_ptr() == memory for value in living
        )

    def arguments(self, node: Node) -> tuple[Any, ...]:
        return self.fetch_args_kwargs_from_env(node)[0]


Rule = Callable[[_Tape, Any, list[Node]], tuple[Any, Pull | None]]


def _any(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Any, Pull | None]:
    """The rule of operations without their own: autograd, in the dtype of their values."""
    leaves = {n: tape.env[n].detach().requires_grad_() for n in inputs}
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: leaves.get(n, tape.env.get(n)))
    with torch.enable_grad():
        if tape.aten.overwrites(node.target):  # autograd forbids it of a leaf, so of a copy
            args = (args[0].clone(), *args[1:])
        value = node.target(*args, **kwargs)
    if not isinstance(value, Tensor):
        if isinstance(value, (tuple, list)):
            raise NotRewritable(f"Expected one result of each function, got more of {node.target}.")
        return value, None
    if not value.requires_grad:
        return value, None

    def pull(gradient: Tensor) -> Gradients:
        known = list(leaves.values())
        parts = torch.autograd.grad(value, known, gradient.to(value.dtype), allow_unused=True)
        # In the memory format of the value: two formats in one operation are slow.
        return [
            None if part is None else _like(leaf, gradient).copy_(part)
            for leaf, part in zip(known, parts, strict=True)
        ]

    return value.detach(), pull


def _convolution(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    if node.name not in tape.reduced:
        return _any(tape, node, inputs)
    kernel = tape.reduced[node.name]
    x, _, _, stride, padding, dilation, groups = (
        tape.env[a] if isinstance(a, Node) else a for a in conv_arguments(node)
    )
    shape, aten = x.to("meta"), tape.aten

    def pull(gradient: Tensor) -> Gradients:
        return [
            aten.convolution_backward(
                gradient,
                _like(shape, gradient),
                kernel,
                None,
                *(stride, padding, dilation, False, (0, 0), groups),
                (True, False, False),
            )[0]
        ]

    return node.target(*tape.arguments(node)), pull


def _like(shape: Tensor, gradient: Tensor) -> Tensor:
    """Memory for a gradient like `shape`; also stands for a value if only its shape counts."""
    return torch.empty_like(shape, dtype=gradient.dtype, device=gradient.device)


def _relu(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    value = node.target(*tape.arguments(node))
    sign, aten = value.to(_REDUCED), tape.aten
    return value, lambda gradient: [aten.threshold_backward(gradient, sign, 0)]


def _max_pool(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    x, *options = tape.arguments(node)
    value, indices = tape.aten.max_pool_with_indices(x, *options)
    padded: list[Any] = [*options, *([], 0, 1, False)[len(options) - 1 :]]
    shape, aten = x.to("meta"), tape.aten

    def pull(gradient: Tensor) -> Gradients:
        source = _like(shape, gradient)
        return [aten.max_pool_backward(gradient, source, *padded, indices)]

    return value, pull


def _average_pool(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    x, size = tape.arguments(node)
    if list(size) != [1, 1]:
        return _any(tape, node, inputs)
    shape = x.shape
    return node.target(x, size), lambda gradient: [
        (gradient / (shape[-2] * shape[-1])).expand(shape)
    ]


def _cat(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    values, *rest = tape.arguments(node)
    dim = rest[0] if rest else 0
    sources: Any = node.args[0]
    if len(set(sources)) < len(sources):
        return _any(tape, node, inputs)
    sizes = [value.shape[dim] for value in values]

    def pull(gradient: Tensor) -> Gradients:
        parts = dict(zip(sources, gradient.split(sizes, dim), strict=True))
        return [parts[source] for source in inputs]

    return torch.cat(values, dim), pull


def _add(tape: _Tape, node: Any, inputs: list[Node]) -> tuple[Tensor, Pull | None]:
    one, other = tape.arguments(node)[:2]
    plain = isinstance(other, Tensor) and one.shape == other.shape
    if not plain or node.args[0] is node.args[1]:
        return _any(tape, node, inputs)
    return node.target(one, other), lambda gradient: [gradient] * len(inputs)


def _rules(aten: Operations) -> dict[Any, Rule]:
    return {
        aten.conv: _convolution,
        aten.relu: _relu,
        aten.relu_in_place: _relu,
        aten.max_pool: _max_pool,
        aten.average_pool: _average_pool,
        aten.cat: _cat,
        aten.add: _add,
        aten.add_in_place: _add,
    }
