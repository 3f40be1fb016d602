"""Recognises how a network answers, from a few images. Ambiguous answers are refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from audits.errors import ModelRefused
from audits.models.adapter import NETWORK_ERRORS, filled_up
from audits.models.contract import Outputs
from audits.models.form import Bounds, Form, Scale, Source, container_of, rows_told, taken
from audits.models.graphs import Last, last_operation, stated_rows, trains
from fillblanks.memory import is_short

_FIRST = (1, 2, 5)  # rows of the first batches: a fixed batch cannot fit them all
_TRIED = sum(_FIRST)
_FIXED = (1, 2, 3, 4, 5, 8, 16, 32, 64)  # fixed batches that are tried
_MOST_ROWS, _VALUES = 64, 1 << 20  # of a later batch
_HIGH = 0.5  # a probability of more than this; only one of a distribution can be
_PER_CENT = 100
# Tolerances, by whether the network answers in half precision.
_ABOUT_0 = {False: 1e-3, True: 2e-2}
_INSIDE = {False: 1e-6, True: 1e-2}
_LAST_OF = {"probabilities": "softmax", "log-probabilities": "log_softmax"}


class DoesNotRun(ModelRefused):
    """The network raises an error for these inputs, or gives nothing that is finite."""


@dataclass(frozen=True)
class _Answer:
    rows: int
    output: Any


def recognised(net: nn.Module, inputs: Tensor, told: Outputs | None = None) -> Form:
    """How `net`, in evaluation mode and without gradients, answers `inputs`.

    `inputs` are at least 8 rows as the network takes them. `told` is what somebody said of its
    outputs. If the first few answers settle the form, no others are asked for.

    Raises DoesNotRun if the network does not run or answers nothing finite; ModelRefused if its
    output has no tensor of one row an image, if it contradicts `told`, if it is the answer of
    several independent labels, or if it is ambiguous.
    """
    if operation := trains(net):
        raise ModelRefused(
            f"Expected a network exported in evaluation mode, got {operation} in training mode. "
            "Call net.eval() before it is logged."
        )
    with torch.no_grad():
        rows, answers = _first_answers(net, inputs)
        container = container_of(answers[0].output)
        if container is None:
            raise ModelRefused(
                "Expected logits as a tensor, as .logits, as ['logits'] or as the first of a "
                f"tuple, got {type(answers[0].output).__name__}. Wrap the network so that it "
                "returns one row of logits an image."
            )
        values, shape = _rows(answers, container)
        if values.is_complex():
            raise ModelRefused(
                "Expected logits that are real numbers, got complex ones. Wrap the network so that "
                "it returns their real part, or whatever names the class."
            )
        form = Form(container, rows=rows, shape=shape, half=_half(values))
        if told is None and values.shape[1] == 1 and not values.is_floating_point():
            return replace(form, scale="classes", source="values", tried=len(values))
        last = last_operation(net, container)
        if told is None and last is None and _open(values, bool(form.half)):
            later = list(_later_answers(net, inputs[len(values) :], form.bounds))
            values = torch.cat([values, *(_rows([answer], container)[0] for answer in later)])
    finite = values[values.isfinite().all(1)]
    if not len(finite):
        raise DoesNotRun(
            "Expected finite logits, got NaN or infinity. Check the weights, mean and std."
        )
    return _scaled(form, finite.double(), told, last)


def _first_answers(net: nn.Module, inputs: Tensor) -> tuple[str, list[_Answer]]:
    """`Form.rows`, and answers to the first inputs."""
    stated = stated_rows(net)
    if stated is not None:
        return rows_told(stated), _answers_within(net, inputs, stated)
    error: DoesNotRun | None = None
    for bounds in (Bounds(), *(Bounds(size, size) for size in _FIXED)):
        try:
            return rows_told(bounds), _answers_within(net, inputs, bounds)
        except DoesNotRun as caught:
            error = error or caught
    assert error is not None
    raise error


def _answers_within(net: nn.Module, inputs: Tensor, bounds: Bounds) -> list[_Answer]:
    """Answers to the first inputs, in batches of several sizes if the network takes them."""
    least, most = bounds
    sizes = [max(least, min(size, most or size)) for size in _FIRST]
    if least == most or sum(sizes) > len(inputs):
        pieces = inputs[: max(_TRIED, least)].split(least)
    else:
        pieces = inputs[: sum(sizes)].split(sizes)
    return [a for piece in pieces for a in _run(net, filled_up(piece, max(least, len(piece))))]


def _later_answers(net: nn.Module, inputs: Tensor, bounds: Bounds) -> Iterator[_Answer]:
    if not len(inputs):
        return
    least, most = bounds
    size = max(least, min(_MOST_ROWS, most or _MOST_ROWS, _VALUES // inputs[0].numel()))
    for piece in inputs.split(size):
        yield from _run(net, filled_up(piece, max(least, len(piece))))


def _run(net: nn.Module, inputs: Tensor) -> list[_Answer]:
    """The answer to `inputs`, or to halves of them if memory is short. Raises DoesNotRun."""
    try:
        return [_Answer(len(inputs), net(inputs))]
    except (MemoryError, *NETWORK_ERRORS) as error:
        if not is_short(error):
            first = (str(error).strip() or "no message").splitlines()[0]
            raise DoesNotRun(
                f"Expected a network that takes {len(inputs)} image(s) of shape "
                f"{tuple(inputs.shape[1:])}, got {type(error).__name__}: {first}"
            ) from error
        if len(inputs) == 1:
            raise
    return [a for half in inputs.chunk(2) for a in _run(net, half)]


def _rows(answers: Sequence[_Answer], container: str) -> tuple[Tensor, str]:
    """Values (N, K) of the answers, and the shapes of their tensors in words."""
    tensors = [(answer.rows, taken(answer.output, container)) for answer in answers]
    several = [tensor.shape for rows, tensor in tensors if rows > 1 and tensor.ndim]
    columns = several[0][1:2].numel() if several else tensors[0][1].numel()
    for rows, tensor in tensors:
        fits = tensor.shape[:1] == (rows,) and tensor.numel() == rows * columns > 0
        # A squeeze takes away the first dimension of a single image's answer too.
        squeezed = rows == 1 and tensor.ndim < 2 and tensor.numel() == columns
        if not (fits or squeezed):
            raise ModelRefused(
                f"Expected logits of shape ({rows}, K), got {tuple(tensor.shape)}. Wrap the "
                "network so that it returns one row of logits an image."
            )
        if tensor.ndim > 2:  # the largest of the last dimension would always be class 0
            raise ModelRefused(
                f"Expected logits of shape ({rows}, K), got {tuple(tensor.shape)}: servers take "
                "the class from the last dimension. Let the network end with flatten(1), an ONNX "
                "graph with a node Flatten."
            )
    shapes = dict.fromkeys(_shape_told(tuple(t.shape), rows, columns) for rows, t in tensors)
    values = torch.cat([tensor.reshape(rows, -1) for rows, tensor in tensors])
    return values.long() if values.dtype == torch.bool else values, " or ".join(shapes)


def _shape_told(shape: tuple[int, ...], rows: int, columns: int) -> str:
    if shape == (rows, columns):
        return "(N, K)"
    if shape == (rows,):
        return "(N,)"
    return "(K,)" if shape else "()"


def _open(values: Tensor, half: bool) -> bool:
    """Whether more images may tell more: so far all values could be those of a sigmoid."""
    finite = values[values.isfinite().all(1)].double()
    return len(finite) > 0 and _inside(finite, half) and not _sums_to_1(finite, half)


def _scaled(form: Form, values: Tensor, told: Outputs | None, last: Last | None) -> Form:
    """The form with scale and columns, from finite values, float64 (N, K)."""
    form = replace(form, tried=len(values))
    half = bool(form.half)
    inside = _inside(values, half)
    if values.shape[1] == 1:
        return _one_column(form, inside, told, last)
    if _sums_to_1(values, half):
        scale: Scale = "probabilities"
    elif values.max() <= _INSIDE[half] and _is_0(values.logsumexp(1), half):
        scale = "log-probabilities"
    else:
        scale = "logits"
    if told is not None:
        if told != scale and not (told == "logits" and scale == "log-probabilities"):
            raise ModelRefused(
                f"Expected {told}, as preprocessing.outputs says, got values from "
                f"{values.min():.3g} to {values.max():.3g}, which are {scale}. Correct it or leave "
                "it out."
            )
        return replace(form, scale=told, source="config")
    if scale != "logits":
        source: Source = "graph" if last == _LAST_OF[scale] else "values"
        return replace(form, scale=scale, source=source)
    if last == "linear":
        return replace(form, source="graph")
    if inside or last == "sigmoid":
        _refuse_labels(values)
    if values.min() >= 0 and _is_0(values.sum(1) / _PER_CENT - 1, half):
        raise ModelRefused(
            f"Expected logits or probabilities, got rows that sum to {_PER_CENT}. Divide them by "
            f"{_PER_CENT} inside the network."
        )
    return form


def _one_column(form: Form, inside: bool, told: Outputs | None, last: Last | None) -> Form:
    if told == "log-probabilities" or (told == "probabilities" and not inside):
        raise ModelRefused(
            "Expected one value an image that is a logit or a probability in [0, 1], got others "
            f"with preprocessing.outputs: {told}. Set it to logits, or leave it out."
        )
    source: Source = "config" if told else "graph" if last in ("sigmoid", "linear") else "values"
    by_graph = {"sigmoid": True, "linear": False}.get(last or "", inside)
    if told == "probabilities" if told else by_graph:
        return replace(form, scale="probabilities", columns="one probability", source=source)
    return replace(form, columns="one logit", source=source)


def _refuse_labels(values: Tensor) -> NoReturn:
    """Refuses values between 0 and 1 whose rows do not sum to 1."""
    several = int(((values > _HIGH).sum(1) > 1).sum())
    got = (
        f"got independent probabilities of several labels (sigmoid): {several} of {len(values)} "
        f"tried images have two or more above {_HIGH}"
        if several
        else f"got values between 0 and 1 for all of {len(values)} tried images, whose rows do not "
        "sum to 1"
    )
    raise ModelRefused(
        f"Expected a network that gives each image one class, {got}. Audit a network that ends in "
        "a softmax or in logits; if these are logits after all, set preprocessing.outputs: logits."
    )


def _inside(values: Tensor, half: bool) -> bool:
    """Whether all values are in [0, 1]."""
    return bool(values.min() >= -_INSIDE[half] and values.max() <= 1 + _INSIDE[half])


def _sums_to_1(values: Tensor, half: bool) -> bool:
    """Whether each of several columns of values in [0, 1] sums to 1."""
    return values.shape[1] > 1 and _inside(values, half) and _is_0(values.sum(1) - 1, half)


def _is_0(values: Tensor, half: bool) -> bool:
    return bool(values.abs().max() <= _ABOUT_0[half])


def _half(values: Tensor) -> str:
    half = values.is_floating_point() and torch.finfo(values.dtype).bits < 32
    return str(values.dtype).removeprefix("torch.") if half else ""
