"""MLflow's onnx flavour: converted to torch if that agrees with onnxruntime, else a black box.

An ONNX file holds a graph and weights and no code; libraries of custom operators are never loaded.
"""

from pathlib import Path
from typing import ClassVar

from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused, few
from audits.models.carried_names import Carried, lists_in
from audits.models.contract import Said
from audits.models.flavours.base import Flavour, at_top, expect_file
from audits.models.flavours.columns import expect_no_columns
from audits.models.flavours.onnx_effects import expect_steady
from audits.models.flavours.onnx_file import (
    INSTALL,
    expect_inside,
    expect_whole,
    external_files,
    image_input,
    model_of,
    package,
    refusing_nonsense,
)
from audits.models.flavours.onnx_labels import all_labels, labels_of, texts_of
from audits.models.flavours.onnx_outputs import gives_label, serves_labels, table
from audits.models.flavours.onnx_session import (
    expect_plain_session,
    stated_threads,
)
from audits.models.flavours.pyfunc_called import Predict, predict_of_folder
from audits.models.metadata import said_by_metadata
from audits.models.signature import said_by_tensor

# By ONNX's numbers.
_DTYPES = {
    **{1: "float32", 10: "float16", 11: "float64"},
    **{2: "uint8", 6: "int32", 7: "int64"},
}
_LONGEST_TOLD = 1_000_000  # characters of all properties, each of which is parsed


class Onnx(Flavour):
    """A graph in an ONNX file, whose weights may be in further files of the model's folder."""

    name: ClassVar[str] = "onnx"
    reading: ClassVar[int] = 4

    def data(self, folder: Path, conf: Model) -> Path:
        entry = self.entry(conf)
        expect_plain_session(entry)
        return at_top(folder, entry.get("data", "model.onnx"))

    def parts(self, data: Path) -> list[Path]:
        with refusing_nonsense(data):
            names = external_files(model_of(data))
        return [data, *(data.parent / name for name in sorted(names))]

    def running_files(self, data: Path) -> list[Path]:
        return []

    def check(self, data: Path, *, trusted: bool) -> None:
        expect_file(data)
        if data.suffix != ".onnx":  # onnxruntime reads .ort as another format
            raise ModelRefused(
                f"Expected an ONNX file with the ending .onnx, got {data.name[:60]!r}. Log the "
                "model again with mlflow.onnx."
            )
        with refusing_nonsense(data):
            model = model_of(data)
            expect_whole(model)
            expect_steady(model)
            expect_inside(data.parent, external_files(model))
            image_input(model)

    def said(self, folder: Path, conf: Model) -> Said:
        data = self.data(folder, conf)
        with refusing_nonsense(data):
            model = model_of(data)
            if not gives_label(model):
                expect_no_columns(conf)
            tensor = image_input(model).type.tensor_type
            dtype, dims = _DTYPES.get(tensor.elem_type, "other"), tensor.shape.dim
            shape = tuple(d.dim_value or -1 for d in dims)
            said = said_by_tensor(dtype, shape, "the ONNX graph")
            labels = labels_of(model)
            if labels and serves_labels(model):
                _expect_own_labels(labels, conf)
        return Said(said.by, {**said.values, "classes": labels})

    def signed(self, signature: Said, own: Said) -> Said:
        wide = signature.values.get("dtype") == "float64"
        if not (wide and own.values.get("dtype") == "float32"):
            return signature
        return Said(signature.by, {**signature.values, "dtype": "float32"})  # as MLflow casts it

    def carried(self, folder: Path, conf: Model) -> Carried:
        data = self.data(folder, conf)
        with refusing_nonsense(data):
            model = model_of(data)
            told = texts_of(model)
            if (size := sum(len(text) for _, text in told)) > _LONGEST_TOLD:
                raise ModelRefused(
                    f"Expected properties of at most {_LONGEST_TOLD:,} characters in the ONNX "
                    f"graph, got {size:,}. Leave out what no server reads."
                )
            found = [lists_in(text, f"the ONNX graph's {where}") for where, text in told]
            labels = [("the labels of a node of the ONNX graph", one) for one in all_labels(model)]
            return (*labels, *(one for lists in found for one in lists))

    def called_by_mlflow(self, folder: Path, conf: Model, net: nn.Module) -> Predict | None:
        from audits.models.flavours.onnx_net import OnnxNet

        assert isinstance(net, OnnxNet)
        predict = predict_of_folder(folder, conf)
        return lambda images: table(predict(images)[net.output.name], net.labels)

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        package()
        try:
            import onnxruntime  # noqa: F401

            from audits.models.flavours.onnx_net import OnnxNet
        except ImportError as error:
            raise AuditError(f"Expected the package onnxruntime ({error}). {INSTALL}") from error
        entry = self.entry(Model.load(str(folder)))
        return OnnxNet(data, stated_threads(entry)).to(device)


def _expect_own_labels(labels: tuple[str, ...], conf: Model) -> None:
    """Raises ModelRefused if the metadata give the classes other names than the served labels."""
    named = said_by_metadata(conf.metadata or {}).values.get("classes")
    if named is not None and tuple(named) != labels:
        raise ModelRefused(
            f"Expected classes as the graph's labels name them ({few(labels)}), got {few(named)} "
            "from the model's metadata. Correct them, or export the model without labels."
        )
