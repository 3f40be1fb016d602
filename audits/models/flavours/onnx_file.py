"""Reads an ONNX file in the auditing process, within bounds and without onnxruntime.

`onnx.checker` is not asked: it is C++ without bounds, and opens files that the graph names.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from audits.errors import AuditError, ModelRefused, few, quoted, shortened
from audits.models.flavours.base import inside
from audits.models.texts import BROKEN

INSTALL = "pip install 'fillblanks[onnx]'"
"""The remedy if a package for ONNX is missing."""

_BYTES = 2 << 30  # protobuf reads no more
_PARTS = 2_000_000  # nodes, attributes, tensors, types: a network of 10,000 layers has 100,000
_AGAIN = "Export the model again."
# A place of weights that onnxruntime takes for an address in its own memory.
_ADDRESS = "_ORT_MEM_ADDR_"
_SETTINGS = "ort_config"  # options of a session, which onnxruntime may take from a model's metadata


def package() -> Any:
    """The package onnx. Raises AuditError if it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise AuditError(f"Expected the package onnx ({error}). {INSTALL}") from error
    return onnx


@contextmanager
def refusing_nonsense(data: Path) -> Iterator[None]:
    """Inside, the errors that a damaged or crafted ONNX file raises become ModelRefused."""
    package()
    from google.protobuf.message import Error

    try:
        yield
    except AuditError:
        raise
    except (*BROKEN, Error) as error:
        raise ModelRefused(
            f"Expected an ONNX file that can be read, got {quoted(data.name)} with "
            f"{type(error).__name__}: {shortened(error, 120)}. {_AGAIN}"
        ) from error


def model_of(data: Path) -> Any:
    """The ModelProto of a file, without weights that are in files of their own.

    Raises ModelRefused.
    """
    with refusing_nonsense(data):
        size = data.stat().st_size
        if size >= _BYTES:
            raise ModelRefused(
                f"Expected an ONNX file below 2 GiB, got {size >> 20:,} MiB. Export the model with "
                "its weights in files of their own."
            )
        return package().ModelProto.FromString(data.read_bytes())


def expect_whole(model: Any) -> None:
    """Raises ModelRefused unless a ModelProto has all that is read of it, and nothing twice."""
    _expect_few_parts(model)
    if not model.graph.output:
        _refuse("an ONNX graph with an output", "none")
    if model.training_info:
        _refuse("an ONNX graph for inference", "one with steps of a training")
    if any(one.key == _SETTINGS for one in model.metadata_props):
        _refuse("an ONNX file without options of a session", f"{_SETTINGS} in its metadata")
    for body in (model.graph, *model.functions):
        for graph in graphs_of(body):
            _expect_named(graph)
    names = [(one.domain, one.name, one.overload) for one in model.functions]
    _expect_once("function of each name", names)


def graphs_of(body: Any) -> Iterator[Any]:
    """A graph or function, and the graphs of its nodes' attributes, however deep."""
    left = [body]
    while left:
        yield (graph := left.pop())
        for node in graph.node:
            for attribute in node.attribute:
                left += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def external_files(model: Any) -> set[str]:
    """The files, relative to the model's, that hold weights."""
    uses_external_data = package().external_data_helper.uses_external_data
    return {
        entry.value
        for tensor in _tensors(model)
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def expect_inside(folder: Path, names: set[str]) -> None:
    """Raises ModelRefused unless all files with weights are in the model's folder."""
    for name in sorted(names):
        path = PurePosixPath(name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or _ADDRESS in name
            or not _is_file(folder / name)
        ):
            raise ModelRefused(
                f"Expected the model's weights inside its folder, got {quoted(name)}. Log it "
                "again with save_as_external_data=False."
            )
        inside(folder, name)  # a link may lead out of it


def image_input(model: Any) -> Any:
    """The one input that is no weight, a tensor whose shape is told. Raises ModelRefused."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or not inputs[0].type.HasField("tensor_type"):
        raise ModelRefused(
            f"Expected an ONNX graph with one image tensor as its input, got {len(inputs)} "
            f"({few(value.name for value in inputs)}). Export the network alone."
        )
    tensor = inputs[0].type.tensor_type
    if len(tensor.shape.dim) < 2:
        _refuse("an ONNX graph whose input has a shape with a batch and sides", "none")
    return inputs[0]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return False


def _expect_few_parts(model: Any) -> None:
    for count, _ in enumerate(_messages(model)):
        if count >= _PARTS:
            _refuse(f"an ONNX graph of at most {_PARTS:,} nodes, attributes and tensors", "more")


def _expect_named(graph: Any) -> None:
    """Raises ModelRefused if a node gives nothing, or if two values have one name."""
    weights = [tensor.name for tensor in getattr(graph, "initializer", ())]
    weights += [tensor.values.name for tensor in getattr(graph, "sparse_initializer", ())]
    _expect_once("weight of each name", weights)
    # An input may have the name of a weight, which is then its default.
    inputs = [str(getattr(value, "name", value)) for value in graph.input]
    named = [*inputs, *(set(weights) - set(inputs))]
    for node in graph.node:
        given = [name for name in node.output if name]
        if not given:
            _refuse("nodes with an output", f"{quoted(node.op_type)} without one")
        named += given
    _expect_once("value of each name", named)


def _expect_once(what: str, names: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            _refuse(f"one {what} in an ONNX file", f"{quoted(name)} twice")
        seen.add(name)


def _refuse(expected: str, got: str) -> None:
    raise ModelRefused(f"Expected {expected}, got {got}. {_AGAIN}")


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a ModelProto, wherever it holds them: sparse ones and functions as well."""
    tensor_proto = package().TensorProto
    return (message for message in _messages(model) if isinstance(message, tensor_proto))


def _messages(model: Any) -> Iterator[Any]:
    """All parts of a ModelProto but those of tensors."""
    from google.protobuf.message import Message

    tensor_proto = package().TensorProto
    left = [model]
    while left:
        yield (message := left.pop())
        if isinstance(message, tensor_proto):
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                left += [value] if isinstance(value, Message) else value
