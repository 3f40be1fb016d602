"""Engine: a classifier made ready to run passes as a plan says."""

import copy
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn

from fillblanks.classifier import Classifier
from fillblanks.engine.capture import CapturedPass
from fillblanks.engine.graph import rewritten
from fillblanks.engine.mixed import MixedGraph
from fillblanks.engine.plan import REDUCED, Plan
from fillblanks.engine.same import expect_same, with_masked
from fillblanks.engine.step import Step, UpdateOrder

_ENGINES_KEPT = 2  # one for averages, one for passes that are not averaged


class Engine:
    """Runs passes of `classifier` as `plan` says.

    The classifier is left as it is: if the plan asks for other weights or another memory format,
    the engine works on a copy. `images` (N, C, H, W), as `Classifier.to_input` gives them, are
    examples of its input.

    Raises NotRewritable if the plan needs the network's graph and the network has none, torch
    lacks a name that this takes, or the copy gives other answers; ValueError if the plan is
    captured and the network is on the CPU.
    """

    def __init__(self, classifier: Classifier, plan: Plan, images: Tensor):
        self.plan = plan
        self.classifier = _ready(classifier, plan, images)
        self.classes: int | None = None  # of the network, once it has been run
        self._captured: dict[UpdateOrder, CapturedPass] = {}

    def steady(self) -> AbstractContextManager[None]:
        """As `Classifier.steady`, of the network that runs the passes."""
        return self.classifier.steady()

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]; differentiable."""
        if self.plan.memory_format == "channels_last":
            images = images.contiguous(memory_format=torch.channels_last)
        reduced = self.plan.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=reduced):
            logits = self.classifier(images)
        return logits.float() if reduced else logits

    def steps(self, masked: Tensor, labels: Tensor | None, order: UpdateOrder) -> Step:
        """A step of `order` for each of any number of masked images.

        `masked` is (N, C, H, W) in [0, 1], `labels` int64 (N,), or None for the predicted classes.
        They are run in chunks of one size: the last chunk is padded.
        """
        count, chunk = len(masked), self.plan.chunk
        parts = []
        for at in range(0, count, chunk):
            rows = slice(at, at + chunk)
            some = None if labels is None else _padded(labels[rows], chunk)
            parts.append(self._pass(_padded(masked[rows], chunk), some, order))
        if len(parts) == 1:
            return Step(*(values[:count] for values in parts[0]))
        return Step(*(torch.cat(values)[:count] for values in zip(*parts, strict=True)))

    def _pass(self, masked: Tensor, labels: Tensor | None, order: UpdateOrder) -> Step:
        masked = masked.to(self.classifier.dtype)
        step = partial(order.step, self.logits)
        if labels is None or not (self.plan.captured and order.capturable):
            return step(masked, labels)
        if order not in self._captured:
            self._captured[order] = CapturedPass(step, masked, labels)
        return self._captured[order](masked, labels)


def _padded(rows: Tensor, count: int) -> Tensor:
    missing = count - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def _ready(classifier: Classifier, plan: Plan, images: Tensor) -> Classifier:
    if plan.captured and classifier.device.type != "cuda":
        raise ValueError("Expected a network on a GPU for a captured plan, got one on the CPU.")
    double = plan.precision == "float64"
    net: nn.Module
    if plan.needs_graph:
        with classifier.steady():
            example = classifier.normalised(with_masked(images))
            graph = rewritten(classifier.net, example, fused=plan.fused)
            net = MixedGraph(graph, example) if plan.precision == "mixed" else graph
    elif double or plan.memory_format == "channels_last":
        net = copy.deepcopy(classifier.net)
    else:
        return classifier
    if double:
        net = net.double()
    if plan.memory_format == "channels_last":
        net = net.to(memory_format=torch.channels_last)
        if plan.precision == "full":
            with classifier.steady():
                example = classifier.normalised(with_masked(images))
                name, form = "copy in channels_last", torch.channels_last
                expect_same(classifier.net, net, example, name, form)
    return classifier.with_net(
        net,
        torch.float64 if double else classifier.dtype,
        reduced=plan.precision in REDUCED,
    )


def engine_of(classifier: Classifier, plan: Plan, images: Tensor) -> Engine:
    """An engine for `images` (N, C, H, W); a constant classifier keeps its engines for next time.

    Raises what `Engine` raises.
    """
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
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
