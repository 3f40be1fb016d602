"""Opens a loaded network: tries it on a few images until it is fed and read as it must be."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from audits.errors import ModelRefused
from audits.models.adapter import NETWORK_ERRORS, AdaptedNet
from audits.models.contract import InputContract, Outputs
from audits.models.flavours.tables import TableNet
from audits.models.form import Ability, Adaptation, Form, InputSide, includes
from audits.models.outputs import DoesNotRun, recognised
from audits.models.own_dtype import runs_alike
from audits.models.tokens import mixes_tokens
from fillblanks import Classifier
from fillblanks.memory import is_short, with_fewer_rows
from fillblanks.slopes import ENOUGH, agreement

_HALF = (torch.float16, torch.bfloat16)
_WIDE = (torch.float32, torch.float64)
_LEAST_ROWS = 8


@dataclass(frozen=True)
class OpenedNet:
    """A network as a classifier, how it was adapted to be one, and what it gives.

    With `other_gradient` it has a gradient that is not known to be that of its answers. If it is
    audited in another dtype than it is served in, `in_own` are classifiers in the latter.
    """

    classifier: Classifier
    adaptation: Adaptation
    gives: Ability
    classes: int
    other_gradient: bool = False
    in_own: tuple[tuple[Classifier, torch.dtype], ...] = ()

    @property
    def input_dtype(self) -> torch.dtype:
        """That of the inputs which servers give to the network; tables are often of doubles."""
        usual = self.classifier.dtype
        if any(isinstance(one, TableNet) for one in self.classifier.net.modules()):
            return torch.float64
        if not (name := self.adaptation.inputs.dtype):
            return usual
        named: torch.dtype = getattr(torch, name)
        return named if named.is_floating_point else usual


def opened(
    net: nn.Module,
    contract: InputContract,
    images: Tensor,
    count: int,
    rows: int,
    *,
    certain: bool = True,
    drawn: Tensor | None = None,
) -> OpenedNet:
    """Tries `net`, in evaluation mode, on `images`, float (N, C, H, W) in [0, 1].

    `count` is the number of the data's classes, `rows` that of images in a pass. If not `certain`,
    `contract.outputs` is asked only if the outputs are ambiguous. `drawn` are images by which the
    dtypes of audit and server are compared, `images` by default. Raises
    ModelRefused if the network does not run, if its outputs are not recognised, or if they are not
    those of a classifier whose rows do not touch; Contradicted if the network is not run in the
    dtype in which it is served, and answers otherwise there.
    """
    error: DoesNotRun | None = None
    for candidate, side, dtype in _candidates(net, contract):
        classifier = _classifier(candidate, contract, dtype)
        try:
            inputs = classifier.to_input(images)
            with classifier.steady():
                ready = _ready(classifier, side, inputs)
                form, gives = _recognised(candidate, ready, contract.outputs, certain)
        except DoesNotRun as caught:
            error = caught
            continue
        except ModelRefused:
            raise
        except ValueError as refused:
            raise ModelRefused(str(refused)) from refused
        adaptation = Adaptation(side, form)
        if not adaptation.changes_nothing:
            classifier = _classifier(AdaptedNet(candidate, adaptation, count), contract, dtype)
        found = _tried(classifier, adaptation, gives, inputs, rows)
        asked = inputs if drawn is None else classifier.to_input(drawn)
        return _as_served(net, found, contract, asked, rows)
    assert error is not None
    raise ModelRefused(str(error)) from error


def _candidates(
    net: nn.Module, contract: InputContract
) -> Iterator[tuple[nn.Module, InputSide, torch.dtype]]:
    """Ways to feed the network, the best first: it, its input side, and the dtype of images."""
    wanted, layout = getattr(torch, contract.dtype), contract.layout
    if not wanted.is_floating_point:
        yield net, InputSide(layout, _name(wanted)), torch.float32
        return
    wide = wanted if wanted in _WIDE else torch.float32
    yield net, InputSide(layout), wide
    own = next((p.dtype for p in net.parameters() if p.is_floating_point()), None)
    on_cpu = all(parameter.device.type == "cpu" for parameter in net.parameters())
    if own in _HALF and on_cpu:  # a graph with casts of its own may not run like this
        converted = copy.deepcopy(net).float()
        yield converted, InputSide(layout, converted=_name(own)), torch.float32
    for dtype in dict.fromkeys((wanted, own)):
        if dtype in _HALF:
            yield net, InputSide(layout, _name(dtype)), torch.float32
        elif dtype is not None and dtype != wide:
            yield net, InputSide(layout), dtype


def _as_served(
    net: nn.Module, found: OpenedNet, contract: InputContract, images: Tensor, rows: int
) -> OpenedNet:
    """`found`, which says so if `net` does not run in a dtype in which it may be served.

    Raises Contradicted if it answers otherwise there. That is the dtype that the contract names
    and, if a copy in float32 is audited, that of the weights.
    """
    adaptation, side = found.adaptation, found.adaptation.inputs
    in_own = []
    for name, served in _in_own(net, adaptation, contract, found.classes):
        try:
            alike = runs_alike(served, found.classifier, images, rows, name)
        except ValueError as error:  # of the network that is audited
            raise ModelRefused(str(error)) from error
        if not alike:
            untried = replace(side, untried=cast(Any, name))
            return replace(found, adaptation=replace(adaptation, inputs=untried))
        in_own.append((served, getattr(torch, name)))
    return replace(found, in_own=tuple(in_own))


def _in_own(
    net: nn.Module, adaptation: Adaptation, contract: InputContract, count: int
) -> Iterator[tuple[str, Classifier]]:
    """Dtypes in which `net` is served but not audited, with classifiers in these."""
    side = adaptation.inputs
    if side.dtype:
        return  # it is run as it is served
    for name in dict.fromkeys((contract.dtype, side.converted)):
        if name and getattr(torch, name) in _HALF:
            own = replace(adaptation, inputs=InputSide(side.layout, name))
            yield name, _classifier(AdaptedNet(net, own, count), contract, torch.float32)


def reopened(
    net: nn.Module, contract: InputContract, adaptation: Adaptation, dtype: str, count: int
) -> Iterator[Classifier]:
    """Classifiers of `net` as `opened` found them: the audited one, then those `in_own`.

    `adaptation` and `dtype` are those of the audited one, `count` is the number of its classes.
    """
    candidate = copy.deepcopy(net).float() if adaptation.inputs.converted else net
    if not adaptation.changes_nothing:
        candidate = AdaptedNet(candidate, adaptation, count)
    yield _classifier(candidate, contract, getattr(torch, dtype))
    if not adaptation.inputs.untried:  # else it does not run in its own dtype, or nobody knows
        for _, served in _in_own(net, adaptation, contract, count):
            yield served


def _classifier(net: nn.Module, contract: InputContract, dtype: torch.dtype) -> Classifier:
    try:
        return Classifier(
            net,
            mean=contract.pixel_mean,
            std=contract.pixel_std,
            constant=True,
            dtype=dtype,
        )
    except ValueError as error:
        raise ModelRefused(f"{error} Set preprocessing.mean and preprocessing.std.") from error


def _ready(classifier: Classifier, side: InputSide, images: Tensor) -> Tensor:
    """Each image and its negative in turn, 8 rows or more, as the network takes them."""
    both = torch.stack([images, 1 - images], dim=1).flatten(0, 1)
    enough = both.repeat(-(-_LEAST_ROWS // len(both)), 1, 1, 1)
    return side.given(classifier.normalised(enough))


def _recognised(
    net: nn.Module, ready: Tensor, told: Outputs | None, certain: bool
) -> tuple[Form, Ability | None]:
    """The form, and the ability that the network itself names, if it is a black box."""
    if (gives := _said(net)) is not None:
        return _form_of_box(net, ready, gives), gives
    try:
        return recognised(net, ready, told if certain else None), None
    except DoesNotRun:
        raise
    except ModelRefused:
        if certain or told is None:
            raise
        return recognised(net, ready, told), None


def _said(net: nn.Module) -> Ability | None:
    gives = getattr(net, "gives", None)
    if gives not in get_args(Ability) or includes(cast(Ability, gives), "gradients"):
        return None
    return cast(Ability, gives)


def _form_of_box(net: nn.Module, ready: Tensor, gives: Ability) -> Form:
    if gives != "predictions":
        told: Outputs = "probabilities" if gives == "probabilities" else "logits"
        return replace(recognised(net, ready, told), source="model")
    form = recognised(net, ready)
    if form.scale != "classes":
        raise ModelRefused(
            f"Expected predicted classes as whole numbers (N,) from {type(net).__name__}, which "
            f"gives predictions, got {form.scale}. Return whole numbers, or say that it gives "
            "logits or probabilities."
        )
    return form


def _tried(
    classifier: Classifier,
    adaptation: Adaptation,
    gives: Ability | None,
    images: Tensor,
    rows: int,
) -> OpenedNet:
    form = adaptation.outputs
    try:
        with classifier.steady():
            if form.scale == "classes" and (classifier.predict(images) < 0).any():
                raise ModelRefused(
                    "Expected predicted classes that the data has, counted from 0, got others. "
                    "Name the model's classes under preprocessing.classes."
                )
            only_classes = form.scale == "classes"
            count = with_fewer_rows(
                lambda size: classifier.expect_logits(images, size, only_classes=only_classes), rows
            )
            other = gives is None and _has_another_gradient(classifier, images, rows)
            gives = gives or _ability(form, classifier, images)
    except ModelRefused:
        raise
    except ValueError as error:
        raise ModelRefused(str(error)) from error
    return OpenedNet(classifier, adaptation, gives, count, other)


def _has_another_gradient(classifier: Classifier, images: Tensor, rows: int) -> bool:
    """Whether there is a gradient of which nobody can say that it foretells how logits change.

    So it is if the network raises an error when it is tried: one that answers images and has a
    gradient may know by the small moves that it is tried.
    """
    if not classifier.has_gradient(images):
        return False
    try:
        found = agreement(classifier, images, rows)
        return found is not None and found < ENOUGH
    except (*NETWORK_ERRORS, MemoryError) as error:
        if not is_short(error) or rows == 1:
            return True
    return _has_another_gradient(classifier, images, rows // 2)


def _ability(form: Form, classifier: Classifier, images: Tensor) -> Ability:
    if classifier.has_gradient(images):
        return "tokens" if mixes_tokens(classifier, images) else "gradients"
    if form.scale == "classes":
        return "predictions"
    return "logits" if form.scale == "logits" else "probabilities"


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
