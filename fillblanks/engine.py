"""Engine: a classifier made ready to run passes as a plan says."""

import copy
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from fillblanks.classifier import Classifier
from fillblanks.graph import rewritten
from fillblanks.mixed import MixedGraph
from fillblanks.plan import Plan
from fillblanks.second_order import second_order
from fillblanks.update import Step, Update, first_order

_ENGINES_KEPT = 2  # one for averages, one for passes that are not averaged


class Engine:
    """Runs passes of `classifier` as `plan` says.

    The classifier is left as it is: where the plan asks for other weights or another memory format
    the engine works on a copy. `images` (N, C, H, W), as `Classifier.to_input` gives them, are
    examples of what it will see. Raises NotRewritable where the plan asks for a graph that the
    network does not have.
    """

    def __init__(self, classifier: Classifier, plan: Plan, images: Tensor):
        self.plan = plan
        self.classifier = _ready(classifier, plan, images)
        self.classes: int | None = None  # of the network, once it has been run
        self._captured: _Captured | None = None

    def steady(self) -> AbstractContextManager[None]:
        """As `Classifier.steady`, of the network that runs the passes."""
        return self.classifier.steady()

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W); differentiable."""
        if self.plan.memory_format == "channels_last":
            images = images.contiguous(memory_format=torch.channels_last)
        reduced = self.plan.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=reduced):
            logits = self.classifier(images)
        return logits.float() if reduced else logits

    def steps(
        self, masked: Tensor, labels: Tensor | None = None, update: Update = "first_order"
    ) -> Step:
        """`update` for any number of rows, in chunks of one size: the last one is padded."""
        count, chunk = len(masked), self.plan.chunk
        parts = []
        for at in range(0, count, chunk):
            rows = slice(at, at + chunk)
            some = None if labels is None else _padded(labels[rows], chunk)
            parts.append(self._pass(_padded(masked[rows], chunk), some, update))
        if len(parts) == 1:
            return Step(*(values[:count] for values in parts[0]))
        return Step(*(torch.cat(values)[:count] for values in zip(*parts, strict=True)))

    def _pass(self, masked: Tensor, labels: Tensor | None, update: Update) -> Step:
        masked = masked.to(self.classifier.dtype)
        if update == "second_order":
            return second_order(self.logits, masked, labels)
        if labels is None or not self.plan.captured:
            return first_order(self.logits, masked, labels)
        if self._captured is None:
            self._captured = _Captured(self, masked, labels)
        return self._captured(masked, labels)


class _Captured:
    """One pass recorded as a CUDA graph: its kernels are launched together, from one call."""

    def __init__(self, engine: Engine, masked: Tensor, labels: Tensor):
        self._masked, self._labels = masked.clone(), labels.clone()
        # Libraries choose and set up their kernels in the first passes, which cannot be recorded.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                first_order(engine.logits, self._masked, self._labels)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._step = first_order(engine.logits, self._masked, self._labels)

    def __call__(self, masked: Tensor, labels: Tensor) -> Step:
        self._masked.copy_(masked)
        self._labels.copy_(labels)
        self._graph.replay()
        return Step(*(values.clone() for values in self._step))


def _padded(rows: Tensor, count: int) -> Tensor:
    missing = count - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def _ready(classifier: Classifier, plan: Plan, images: Tensor) -> Classifier:
    if plan.captured and classifier.device.type != "cuda":
        raise ValueError("Expected a network on a GPU for a captured plan, got one on the CPU.")
    mixed, double = plan.precision == "mixed", plan.precision == "float64"
    net: nn.Module
    if plan.fused or mixed:
        with classifier.steady():
            example = (torch.cat([images[:1], images[-1:]]) - classifier.mean) / classifier.std
            graph = rewritten(classifier.net, example, fused=plan.fused)
            net = MixedGraph(graph, example) if mixed else graph
    elif double or plan.memory_format == "channels_last":
        net = copy.deepcopy(classifier.net)
    else:
        return classifier
    if double:
        net = net.double()
    if plan.memory_format == "channels_last":
        net = net.to(memory_format=torch.channels_last)
    return classifier.with_net(net, torch.float64 if double else classifier.dtype)


def engine_of(classifier: Classifier, plan: Plan, images: Tensor) -> Engine:
    """An engine; of a classifier that is constant, the one made before where there is one."""
    if not classifier.constant:
        return Engine(classifier, plan, images)
    key = (plan, images.shape[1:])
    engines = classifier.engines
    if key not in engines:
        if len(engines) >= _ENGINES_KEPT:
            engines.clear()
        engines[key] = Engine(classifier, plan, images)
    return engines[key]


def find_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
