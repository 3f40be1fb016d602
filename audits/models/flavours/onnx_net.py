"""OnnxNet: an ONNX graph as a network, in torch if that agrees with onnxruntime."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as _runtime
from torch import Tensor, nn

from audits.errors import Contradicted, ModelRefused
from audits.models.flavours.onnx_labels import labels_of
from audits.models.flavours.onnx_outputs import audited, expect_same_classes, table
from audits.models.flavours.onnx_to_torch import Unconvertible, converted

_REFUSALS = (
    _runtime.Fail,
    _runtime.InvalidArgument,
    _runtime.InvalidGraph,
    _runtime.InvalidProtobuf,
    _runtime.NotImplemented,
    _runtime.RuntimeException,
)
_TOLERANCE = {"cpu": 1e-3, "cuda": 1e-2}  # share of the largest output
_OTHERWISE = 100  # one image in so many may be answered otherwise: two logits may be nearly equal
_BY_BATCH = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul")
_RANDOM = 2  # rows of each kind of random inputs
_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
    "tensor(int32)": torch.int32,
    "tensor(int64)": torch.int64,
}


class OnnxNet(nn.Module):
    """The graph of an ONNX file.

    `forward` maps images as the graph takes them to its output (N, K). Without gradients,
    onnxruntime answers, on the CPU: it serves the model elsewhere. With gradients the converted
    graph answers, in torch. Both are compared each time that onnxruntime answers, and for random
    inputs: outputs differ by 0.1 % of the largest output of the image at most (1 % on a GPU), also
    if each is taken less their mean, and the class of the largest output is the same. If they
    differ, the network has no gradient, and `reason` says why. Raises ValueError if they differ
    for more than 1 % of the images, once a gradient was given. Raises ModelRefused if a further
    output of the graph, such as a label, names another class than the audited output.

    `stated_threads` is the number of onnxruntime's threads that `MLmodel` names, or 0.
    """

    def __init__(self, file: Path, stated_threads: int = 0):
        super().__init__()
        self.file, self.stated_threads = file, stated_threads
        self.session = _session(file)
        (self.entry,) = self.session.get_inputs()
        self.output = audited(self.session.get_outputs())
        model = onnx.load(str(file))
        self.labels = labels_of(model)
        self._is_quantised = any(node.op_type in _BY_BATCH for node in model.graph.node)
        self.reason = ""
        self.compared = self.otherwise = 0  # images, and those that torch answers otherwise
        self.promised = False  # gradients, since one was given
        self.graph: nn.Module | None = None
        self._answers_in_torch = False
        try:
            self.graph = converted(model, self.output.name)
            for inputs in self._random():
                self._compare(inputs, self._run(inputs))
        except Unconvertible as error:
            self._give_up(str(error))

    @property
    def is_quantised(self) -> bool:
        """Whether values are rounded to 8 bits, in steps that are those of the whole batch."""
        return self._is_quantised

    @property
    def fixed_rows(self) -> int | None:
        """The only number of images that the graph takes; None if it takes any."""
        rows = self.entry.shape[0]
        return rows if isinstance(rows, int) else None

    def on_threads(self, count: int) -> AbstractContextManager[None]:
        """A context in which onnxruntime answers with `count` threads. Raises ModelRefused."""
        return self._with_session(_session(self.file, count))

    def afresh(self) -> AbstractContextManager[None]:
        """A context in which a new session answers, which was asked nothing before."""
        # With a number of threads onnxruntime binds none to a core, which a cell does not allow.
        return self.on_threads(self.stated_threads or torch.get_num_threads())

    @contextmanager
    def in_torch(self) -> Iterator[bool]:
        """A context in which the converted graph answers; False if there is none."""
        self._answers_in_torch = self.graph is not None
        try:
            yield self._answers_in_torch
        finally:
            self._answers_in_torch = False

    @contextmanager
    def _with_session(self, session: onnxruntime.InferenceSession) -> Iterator[None]:
        usual, self.session = self.session, session
        try:
            yield
        finally:
            self.session = usual

    def forward(self, images: Tensor) -> Tensor:
        """The graph's output (N, K) for images as it takes them."""
        images = images.to(_DTYPES[self.entry.type])
        rows = self.fixed_rows
        if rows is not None and len(images) != rows:
            raise ValueError(f"Expected {rows} image(s), the fixed batch, got {len(images)}.")
        tracing = torch.compiler.is_compiling()
        asked = images.requires_grad or tracing or self._answers_in_torch
        if self.graph is not None and asked:
            self.promised = self.promised or (images.requires_grad and not tracing)
            answer: Tensor = self.graph(images)
            return answer
        expected = self._run(images)
        self._compare(images, expected)
        return expected

    def _compare(self, images: Tensor, expected: Tensor) -> None:
        """Gives the converted graph up if it does not answer as onnxruntime does.

        Raises Contradicted if gradients of the converted graph were promised already.
        """
        if self.graph is None:
            return
        different = self._difference(self.graph, images, expected)
        self.compared += len(images)
        if not different or self.otherwise <= self.compared // _OTHERWISE:
            return
        if self.promised:
            raise Contradicted(
                "Expected the ONNX graph to answer in torch, which gives the gradients, as in "
                f"onnxruntime, which serves it, got another answer: {different}. Export the model "
                "with other operators, or log it as pt2."
            )
        self._give_up(different)

    def _difference(self, graph: nn.Module, images: Tensor, expected: Tensor) -> str:
        """How the converted graph answers otherwise, in words; empty if it does not."""
        try:
            with torch.no_grad():
                answer = graph(images)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            self.otherwise += len(images)
            return f"{type(error).__name__}: {str(error)[:80]}"
        reason = ""
        if not isinstance(answer, Tensor) or answer.shape != expected.shape:
            reason = "its output has another shape"
        elif not expected.is_floating_point():
            reason = "it answers whole numbers"
        if reason:
            self.otherwise += len(images)
            return reason
        own, wanted = (
            values.double().reshape(len(values), -1)
            for values in (answer.to(expected.device), expected)
        )
        apart = (own - wanted).abs().amax(1)
        far = own.argmax(1) != wanted.argmax(1)  # a sum of huge outputs would hide other classes
        for one, other in ((own, wanted), (_centred(own), _centred(wanted))):
            most = _TOLERANCE[images.device.type] * other.abs().amax(1)
            far |= ~((one - other).abs().amax(1) <= most)
        self.otherwise += int(far.sum())
        return f"it answers differently by {float(apart[far].max()):.2g}" if far.any() else ""

    def _give_up(self, reason: str) -> None:
        self.graph, self.reason = None, reason

    def _run(self, images: Tensor) -> Tensor:
        given = images.detach().cpu().numpy()
        names = [output.name for output in self.session.get_outputs()]
        try:
            answers = self.session.run(names, {self.entry.name: given})
        except _REFUSALS as error:  # they are no RuntimeErrors
            raise RuntimeError(f"onnxruntime: {str(error)[:200]}") from error
        named = dict(zip(names, answers, strict=True))
        expect_same_classes(named, self.output.name, self.labels)
        return table(named[self.output.name], self.labels).to(images.device)

    def _random(self) -> list[Tensor]:
        """Random inputs in the ranges that images have; none if the graph leaves sizes open."""
        rows, *sides = self.entry.shape
        if not all(isinstance(side, int) for side in sides):
            return []
        shape = (rows if isinstance(rows, int) else _RANDOM, *sides)
        generator = torch.Generator().manual_seed(0)
        unit = torch.rand(shape, generator=generator)
        inputs = [unit, torch.randn(shape, generator=generator), (255 * unit).round()]
        return [values.clamp(min=-3).to(_DTYPES[self.entry.type]) for values in inputs]


def _session(file: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """A session on the CPU with so many threads; 0 is one for each core. Raises ModelRefused."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except _REFUSALS as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelRefused(f"onnxruntime could not load the model: {reason}") from error


def _centred(rows: Tensor) -> Tensor:
    """Outputs (N, K) less the mean of each row, if it has several."""
    return rows if rows.shape[1] == 1 else rows - rows.mean(1, keepdim=True)
