"""The outputs of an ONNX graph: the audited one, and others, which must name the same classes.

MLflow serves all outputs. Whoever asks the model may take the label that skl2onnx gives beside the
probabilities.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audits.errors import Contradicted, ModelRefused, quoted

_NUMBER = re.compile("-?[0-9]+")
_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


def audited(outputs: Sequence[Any]) -> Any:
    """The output that holds logits or probabilities: skl2onnx gives labels before them."""
    named = [o for o in outputs if o.name in ("logits", "probabilities", "output_probability")]
    floats = [o for o in outputs if o.type in _FLOATS]
    return (named or floats or outputs)[0]


def serves_labels(model: Any) -> bool:
    """Whether a ModelProto answers more than one tensor, so with labels, or keys, of its own."""
    outputs = model.graph.output
    return len(outputs) != 1 or not outputs[0].type.HasField("tensor_type")


def gives_label(model: Any) -> bool:
    """Whether the only output of a ModelProto is one value an image, by its stated shape."""
    outputs = model.graph.output
    shapes = [[side.dim_value for side in one.type.tensor_type.shape.dim] for one in outputs]
    return len(shapes) == 1 and (len(shapes[0]) == 1 or shapes[0][1:] == [1])


def expect_same_classes(
    answers: Mapping[str, Any], output: str, labels: Sequence[str] | None
) -> None:
    """Raises Contradicted if an output of a pass names other classes than `output`, the audited.

    Raises ModelRefused if one names no class. `answers` are onnxruntime's, by name. Labels are
    class numbers from 0, or of `labels`. Only an output with a label, a number for each class, or a
    mapping of them, in each row is taken.
    """
    if len(answers) == 1:
        return
    wanted = _classes(answers[output], labels)
    for name, answer in answers.items():
        if name == output:
            continue
        found = _classes(answer, labels)
        if found is None or wanted is None:
            raise ModelRefused(
                f"Expected outputs that name a class, got {quoted(name)} beside {quoted(output)}, "
                f"which is audited. Export the model with {quoted(output)} alone."
            )
        if not np.array_equal(found, wanted):
            raise Contradicted(
                f"Expected the same class from all outputs of the ONNX graph, got another one from "
                f"{quoted(name)} than from {quoted(output)}, which is audited. Export the model "
                f"with {quoted(output)} alone."
            )


def table(answer: Any, labels: Sequence[str] | None) -> Tensor:
    """An answer of onnxruntime as a tensor; skl2onnx may give one mapping for each row.

    Texts (N,) are labels, and so are whole numbers (N,) if names of labels are numbers. Else whole
    numbers are class numbers.
    """
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        rows = [list(row.values()) for row in answer]
        names = list(map(str, labels or range(len(rows[0]))))
        for row in answer:
            if list(map(str, row)) != names:
                raise ModelRefused(
                    "Expected mappings whose keys are the classes in the order of the graph, got "
                    "others. Export the model with a table of probabilities (zipmap=False)."
                )
        return torch.tensor(rows, dtype=torch.float64)
    if labels and _is_label(answer):
        by_name = "iuOU" if any(map(_NUMBER.fullmatch, labels)) else "OU"
        if answer.dtype.kind in by_name:
            return torch.from_numpy(_classes(answer, labels))
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu":
        return torch.from_numpy(answer)
    raise ModelRefused(
        f"Expected logits, probabilities or class numbers, got {type(answer).__name__}. Export the "
        "model with a table of probabilities (zipmap=False)."
    )


def _is_label(answer: Any) -> bool:
    """Whether it is an array of one value an image."""
    return isinstance(answer, np.ndarray) and answer.ndim in (1, 2) and answer.size == len(answer)


def _classes(answer: Any, labels: Sequence[str] | None) -> np.ndarray | None:
    """The class of each row, -1 for an unknown label; None if the answer names none."""
    if isinstance(answer, list):
        answer = table(answer, labels).numpy()
    if answer.ndim == 2 and answer.shape[1] > 1 and answer.dtype.kind in "fiu":
        return np.asarray(answer.argmax(1))
    if not _is_label(answer) or answer.dtype.kind not in "iuOU":
        return None
    values = answer.reshape(-1).tolist()
    if labels is None:
        return np.array([value if isinstance(value, int) else -1 for value in values])
    places = {name: place for place, name in enumerate(labels)}
    return np.array([places.get(str(value), -1) for value in values])
