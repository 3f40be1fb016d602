"""OnnxNet: an ONNX graph as a network, in torch if that agrees with onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as _runtime
from torch import Tensor, nn

from audits.errors import ModelRefused
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
_COMPARED = 8  # rows of the audit's own images, at least
_RANDOM = 2  # rows of each kind of random inputs
_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}


class OnnxNet(nn.Module):
    """The graph of an ONNX file.

    `forward` maps images as the graph takes them to its output (N, K). It runs in torch, with
    gradients, if the converted graph answers random inputs and the first images as onnxruntime does
    (within 0.1 % of the largest output; 1 % on a GPU). Otherwise onnxruntime runs it on the CPU,
    and it has no gradient; `reason` then says why.
    """

    def __init__(self, file: Path):
        super().__init__()
        try:
            self.session = onnxruntime.InferenceSession(
                str(file), providers=["CPUExecutionProvider"]
            )
        except _REFUSALS as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelRefused(f"onnxruntime could not load the model: {reason}") from error
        (self.entry,) = self.session.get_inputs()
        self.output = _output(self.session)
        self.reason = ""
        self.left = _COMPARED
        self.graph: nn.Module | None = None
        try:
            self.graph = converted(onnx.load(str(file)), self.output.name)
            if inputs := self._random():
                self._compare(inputs)
        except Unconvertible as error:
            self._give_up(str(error))

    @property
    def fixed_rows(self) -> int | None:
        """The only number of images that the graph takes; None if it takes any."""
        rows = self.entry.shape[0]
        return rows if isinstance(rows, int) else None

    def forward(self, images: Tensor) -> Tensor:
        """The graph's output (N, K) for images as it takes them."""
        images = images.to(_DTYPES[self.entry.type])
        rows = self.fixed_rows
        if rows is not None and len(images) != rows:
            raise ValueError(f"Expected {rows} image(s), the fixed batch, got {len(images)}.")
        plain = not (images.requires_grad or torch.compiler.is_compiling())
        if self.graph is not None and self.left > 0 and plain:
            self.left -= len(images)
            self._compare([images])
        if self.graph is None:
            return self._run(images)
        answer: Tensor = self.graph(images)
        return answer

    def _compare(self, pieces: list[Tensor]) -> None:
        """Gives the converted graph up if it does not answer as onnxruntime does."""
        for piece in pieces:
            expected = self._run(piece)
            try:
                with torch.no_grad():
                    answer = self.graph(piece) if self.graph is not None else expected
            except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
                return self._give_up(f"{type(error).__name__}: {str(error)[:80]}")
            if not isinstance(answer, Tensor) or answer.shape != expected.shape:
                return self._give_up("its output has another shape")
            if not expected.is_floating_point():
                return self._give_up("it answers whole numbers")
            largest = expected.abs().max()
            apart = (answer.to(expected.device, expected.dtype) - expected).abs().max()
            if not apart <= _TOLERANCE[piece.device.type] * largest:
                return self._give_up(f"it answers differently by {float(apart):.2g}")
        return None

    def _give_up(self, reason: str) -> None:
        self.graph, self.reason = None, reason

    def _run(self, images: Tensor) -> Tensor:
        given = images.detach().cpu().numpy()
        try:
            (answer,) = self.session.run([self.output.name], {self.entry.name: given})
        except _REFUSALS as error:  # they are no RuntimeErrors
            raise RuntimeError(f"onnxruntime: {str(error)[:200]}") from error
        return _table(answer).to(images.device)

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


def _output(session: Any) -> Any:
    """The output that holds logits or probabilities: skl2onnx gives labels before them."""
    outputs = session.get_outputs()
    named = [o for o in outputs if o.name in ("logits", "probabilities", "output_probability")]
    floats = [
        o for o in outputs if o.type in ("tensor(float)", "tensor(float16)", "tensor(double)")
    ]
    return (named or floats or outputs)[0]


def _table(answer: Any) -> Tensor:
    """An answer of onnxruntime as a tensor; skl2onnx may give one mapping for each row."""
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        return torch.tensor([list(row.values()) for row in answer])
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu":
        return torch.from_numpy(answer)
    raise ModelRefused(
        f"Expected logits, probabilities or class numbers, got {type(answer).__name__}. Export the "
        "model with a table of probabilities (zipmap=False)."
    )
