"""MLflow's onnx flavour: converted to torch if that agrees with onnxruntime, else a black box.

An ONNX file holds a graph and weights and no code; libraries of custom operators are never loaded.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused, few
from audits.models.contract import Said
from audits.models.flavours.base import Flavour, inside
from audits.models.flavours.onnx_effects import expect_steady
from audits.models.flavours.onnx_outputs import labels_of, serves_labels
from audits.models.flavours.onnx_session import (
    expect_at_the_top,
    expect_plain_session,
    stated_threads,
)
from audits.models.metadata import said_by_metadata
from audits.models.signature import said_by_tensor

_INSTALL = "pip install 'fillblanks[onnx]'"
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # that onnxruntime has by itself
_DTYPES = {1: "float32", 2: "uint8", 10: "float16", 11: "float64"}  # by ONNX's numbers


class Onnx(Flavour):
    """A graph in an ONNX file, whose weights may be in further files of the model's folder."""

    name: ClassVar[str] = "onnx"
    reading: ClassVar[int] = 3

    def data(self, folder: Path, conf: Model) -> Path:
        entry = self.entry(conf)
        expect_plain_session(entry)
        data = inside(folder, entry.get("data", "model.onnx"))
        expect_at_the_top(folder, data)
        return data

    def parts(self, data: Path) -> list[Path]:
        return [data, *(data.parent / name for name in sorted(_external(_graph(data))))]

    def running_files(self, data: Path) -> list[Path]:
        return []

    def check(self, data: Path, *, trusted: bool) -> None:
        if data.suffix != ".onnx":  # onnxruntime reads .ort as another format
            raise ModelRefused(
                f"Expected an ONNX file with the ending .onnx, got {data.name[:60]!r}. Log the "
                "model again with mlflow.onnx."
            )
        model = _graph(data)
        expect_steady(model)
        own = {function.domain for function in model.functions}
        for opset in model.opset_import:
            if opset.domain not in (*_DOMAINS, *own) and any(
                node.domain == opset.domain for node in model.graph.node
            ):
                raise ModelRefused(
                    f"Expected operators of ONNX, got those of {opset.domain[:60]!r}. Export the "
                    "model without custom operators."
                )
        for name in _external(model):
            path = PurePosixPath(name)
            file = data.parent / name
            if path.is_absolute() or ".." in path.parts or not file.is_file():
                raise ModelRefused(
                    f"Expected the model's weights inside its folder, got {name[:60]!r}. Log it "
                    "again with save_as_external_data=False."
                )
            inside(data.parent, name)  # a link may lead out of it
        _input(model)

    def said(self, folder: Path, conf: Model) -> Said:
        model = _graph(self.data(folder, conf))
        tensor = _input(model).type.tensor_type
        dims = tensor.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value else -1 for d in dims)
        said = said_by_tensor(_DTYPES.get(tensor.elem_type, "other"), shape, "the ONNX graph")
        labels = labels_of(model)
        if labels and serves_labels(model):
            _expect_own_labels(labels, conf)
        return Said(said.by, {**said.values, "classes": labels})

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        _package()
        try:
            import onnxruntime  # noqa: F401

            from audits.models.flavours.onnx_net import OnnxNet
        except ImportError as error:
            raise AuditError(f"Expected the package onnxruntime ({error}). {_INSTALL}") from error
        entry = self.entry(Model.load(str(folder)))
        return OnnxNet(data, stated_threads(entry)).to(device)


def _package() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise AuditError(f"Expected the package onnx ({error}). {_INSTALL}") from error
    return onnx


def _graph(data: Path) -> Any:
    """The ModelProto, without weights that are in files of their own."""
    onnx = _package()
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(data), load_external_data=False)
    except DecodeError as error:
        raise ModelRefused(f"Expected an ONNX file, got {data.name}: {error}.") from error


def _expect_own_labels(labels: tuple[str, ...], conf: Model) -> None:
    """Raises ModelRefused if the metadata give the classes other names than the served labels."""
    named = said_by_metadata(conf.metadata or {}).values.get("classes")
    if named is not None and tuple(named) != labels:
        raise ModelRefused(
            f"Expected classes as the graph's labels name them ({few(labels)}), got {few(named)} "
            "from the model's metadata. Correct them, or export the model without labels."
        )


def _external(model: Any) -> set[str]:
    """The files, relative to the model's, that hold weights."""
    uses_external_data = _package().external_data_helper.uses_external_data
    return {
        entry.value
        for tensor in _tensors(model)
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a ModelProto, wherever it holds them: sparse ones and functions as well."""
    from google.protobuf.message import Message

    tensor_proto = _package().TensorProto
    left = [model]
    while left:
        message = left.pop()
        if isinstance(message, tensor_proto):
            yield message
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                left += [value] if isinstance(value, Message) else value


def _input(model: Any) -> Any:
    """The one input that is no weight. Raises ModelRefused."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or not inputs[0].type.HasField("tensor_type"):
        names = ", ".join(value.name for value in inputs)[:60]
        raise ModelRefused(
            f"Expected an ONNX graph with one image tensor as its input, got {len(inputs)} "
            f"({names}). Export the network alone."
        )
    return inputs[0]
