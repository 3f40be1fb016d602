"""MLflow's onnx flavour: converted to torch if that agrees with onnxruntime, else a black box.

An ONNX file holds a graph and weights and no code; libraries of custom operators are never loaded.
"""

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused
from audits.models.contract import Said
from audits.models.flavours.base import Flavour, inside
from audits.models.flavours.onnx_effects import expect_steady
from audits.models.signature import said_by_tensor

_INSTALL = "pip install 'fillblanks[onnx]'"
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # that onnxruntime has by itself
_DTYPES = {1: "float32", 2: "uint8", 10: "float16", 11: "float64"}  # by ONNX's numbers


class Onnx(Flavour):
    """A graph in an ONNX file, whose weights may be in further files of the model's folder."""

    name: ClassVar[str] = "onnx"
    reading: ClassVar[int] = 2

    def data(self, folder: Path, conf: Model) -> Path:
        return inside(folder, self.entry(conf).get("data", "model.onnx"))

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
        return Said(said.by, {**said.values, "classes": _labels(model)})

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        _package()
        try:
            import onnxruntime  # noqa: F401

            from audits.models.flavours.onnx_net import OnnxNet
        except ImportError as error:
            raise AuditError(f"Expected the package onnxruntime ({error}). {_INSTALL}") from error
        return OnnxNet(data).to(device)


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


def _external(model: Any) -> set[str]:
    """The files, relative to the model's, that hold weights."""
    onnx = _package()
    tensors = onnx.external_data_helper._get_all_tensors(model)
    return {
        entry.value
        for tensor in tensors
        if onnx.external_data_helper.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


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


def _labels(model: Any) -> tuple[str, ...] | None:
    """Class names that skl2onnx's classifiers write down; numbers from 0 are no names."""
    for node in reversed(model.graph.node):
        for attribute in node.attribute:
            if attribute.name in ("classlabels_strings", "cats_strings") and attribute.strings:
                return tuple(value.decode(errors="replace") for value in attribute.strings)
            if attribute.name in ("classlabels_int64s", "classlabels_ints", "cats_int64s"):
                numbers = list(attribute.ints)
                if numbers != list(range(len(numbers))):
                    return tuple(str(number) for number in numbers)
    return None
