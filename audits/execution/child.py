"""Functions that run in the child process: they open a model, measure units, ask it questions.

`open_model` is called through `Worker.call` once; config, model and data set then stay in the
process. Everything else is called through `run`. Results are plain values, dataclasses of them and
arrays: see `wire`.
"""

import gc
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.config.audit import AuditConfig
from audits.data import copies, sources
from audits.data.remembered import Hashes
from audits.errors import AuditError, Contradicted, one_line
from audits.evidence.codec import Part
from audits.execution import served_by_mlflow, served_forms
from audits.execution.asking_again import Again, First, again
from audits.execution.beside import Beside
from audits.execution.first_plan import first_plan
from audits.execution.peak import reset_peak
from audits.execution.setting import Setting
from audits.models import loading
from audits.models.classes import matched_classes
from audits.models.files import ModelFiles
from audits.models.form import Ability, Adaptation, includes
from audits.models.opening import opened
from audits.models.told_otherwise import expect_own_places
from fillblanks import OutOfMemory, Plan, find_device
from fillblanks.engine.memory import memory_told
from fillblanks.spot_checks import RowsTouch
from fillblanks.state import Changed

_TRIED = 64  # images at most, on which a model is tried
_LEAST_ROOM = 1 << 26  # bytes; less than any network with its data takes
_DRAWN = 32  # images at most, of which answers are compared
_CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class Job:
    """All that the child needs to open model and data: small, no tensors."""

    config: AuditConfig
    files: ModelFiles
    reference: ModelFiles | None = None
    copies: Mapping[str, str] = field(default_factory=dict)  # of data that are elsewhere, by place
    versions: tuple[ModelFiles, ...] = ()  # others of the model, in the order of the config
    name: str = field(default_factory=lambda: uuid.uuid4().hex)  # by which `run` asks for it


@dataclass(frozen=True)
class Measured:
    """The part of a unit, or that memory was too short for the plan, in words."""

    part: Any = None  # arrays by name; nobody has checked them
    short: str = ""


@dataclass(frozen=True)
class Opened:
    """A job whose model and data are open in this process."""

    job: Job
    context: AuditContext
    gives: Ability
    first: First
    largest_chunk: int | None = None  # the most images in a pass, if the model states it

    @property
    def config(self) -> AuditConfig:
        return self.job.config


_opened: Opened | None = None


def _consecutive(images: int, count: int) -> range:
    """The indices of up to `count` images that follow each other, from a drawn one on."""
    first = _CHANCE.randrange(max(images - count, 0) + 1)
    return range(first, min(first + count, images))


def open_model(job: Job) -> Setting:
    """Loads model and data and tries the model on a few images; what was open before is dropped.

    Raises AuditError if model and data do not fit together.
    """
    global _opened
    close_model()
    config, files = job.config, job.files
    device = expect_device(config.device, captured=bool(config.engine.captured))
    copies.use(job.copies)
    given = sources.load(config.data)
    classes = matched_classes(given, files, config.preprocessing)
    images = given.for_model(classes, files.contract.fit)
    plan = first_plan(config, images)
    some = images.tensor(images.sampled_order(config.seed)[:_TRIED])
    # By these answers are compared. Nobody can prepare a network for images that nobody foresees.
    chosen = _CHANCE.sample(range(len(images)), min(_DRAWN, len(images)))
    drawn = images.tensor(chosen)
    loaded = loading.load(files, device, images.classes)
    net = opened(
        loaded,
        files.contract,
        some,
        len(images.classes),
        plan.chunk,
        certain=config.preprocessing.overrides,
        drawn=drawn,
    )
    classes.expect_logits(net.classes)
    if net.gives == "predictions" and not loading.answers_by_name(loaded):
        expect_own_places(images.classes)
    # A black box may be made of steps, such as a tree, and an image may stand on the edge of some.
    only_classes = not includes(net.gives, "gradients")
    asked = set(chosen[: served_forms.IMAGES])
    rest = [i for i in _CHANCE.sample(range(len(images)), len(images)) if i not in asked]
    expect_same = partial(
        served_forms.expect_same_answers,
        norm=(files.contract.pixel_mean, files.contract.pixel_std),
        resized=images.resized_by_servers(chosen[: served_forms.IMAGES]),
        others=(lambda count: images.tensor(rest[:count])) if rest else None,
        in_order=lambda count: images.tensor(_consecutive(len(images), count)),
        any_channels=files.contract.fit.channels is None,
    )
    expect_same(net.classifier, drawn, only_classes=only_classes, dtype=net.input_dtype)
    for served, dtype in net.in_own:  # rounding decides between logits that are nearly equal
        expect_same(served, drawn, only_classes=True, dtype=dtype)
    by_mlflow = served_by_mlflow.expect_same_classes(
        files, loaded, net, images, chosen[: served_forms.IMAGES]
    )
    beside = Beside(net, some, images.classes, device, config.preprocessing.outputs)
    reference = beside.reference(job.reference, str(config.reference))
    versions = beside.versions(dict(zip(config.versions, job.versions, strict=True)))
    classifier = net.classifier
    setting = Setting(
        device=_device_name(classifier.device),
        dtype=cast(Any, str(classifier.dtype).removeprefix("torch.")),
        torch=torch.__version__,
        speed=f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        gives=net.gives,
        model=net.adaptation,
        reference=reference.adaptation if reference else Adaptation(),
        versions=tuple(one.adaptation for one in versions),
        by_mlflow=by_mlflow,
        other_gradient=net.other_gradient,
    )
    _opened = Opened(
        job,
        AuditContext(
            images=images,
            seed=config.seed,
            plan=first_plan(config, images, setting.largest_chunk),
            model=classifier,
            reference=reference.classifier if reference else None,
            versions=tuple(one.classifier for one in versions),
            contract=files.contract,
            version_names=config.versions,
        ),
        net.gives,
        First.of(classifier, drawn),
        setting.largest_chunk,
    )
    return setting


def close_model() -> None:
    """Drops the model that is open, if any, and its memory."""
    global _opened
    if _opened is not None:
        _opened = None
        gc.collect()
    reset_peak()


def run(job: str, plan: Plan | None, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """The `result` of `function(opened, *args)` with the job of that name.

    An empty dict if the job is not open in this process. Without a plan the default one is taken,
    with what the config fixes.
    """
    if _opened is None or _opened.job.name != job:
        return {}
    opened = _opened
    if plan is not None:
        opened = replace(opened, context=replace(opened.context, plan=plan))
    return {"result": function(opened, *args)}


def measure(
    opened: Opened, check: Check, unit: Unit, digest: str | None, hashes: Hashes
) -> Measured:
    """Measures one unit. If memory is too short for the plan, the result says so.

    `hashes` are of the unit's image files. Raises AuditError if the unit's images are not those of
    `digest`, before or after measuring.
    """
    context = opened.context
    context.images.learn(hashes)
    _expect_images(context, unit, digest)
    try:
        with (
            memory_told(context.plan, context.images.tensor(unit.indices[:1]).shape),
            _rows_apart(opened),
        ):
            part = check.measure(context, unit)
    except OutOfMemory as error:
        return Measured(short=one_line(error))
    _expect_images(context, unit, digest)
    return Measured(part)


def _expect_images(context: AuditContext, unit: Unit, digest: str | None) -> None:
    if digest is not None and context.images.digest(unit.indices) != digest:
        raise AuditError(
            f"Expected {context.images.name} to stay as it was when the audit began, but its "
            "images have changed. Run the audit again."
        )


def asked_again(opened: Opened) -> Again:
    """Compares the model's answers now with those at its opening."""
    only_classes = opened.gives == "predictions"
    return again(opened.first, opened.context.classifier, only_classes=only_classes)


def ask(opened: Opened, check: Check, parts: Sequence[Part]) -> Part:
    """The check's questions to the model about the parts of all its units."""
    with _rows_apart(opened):
        return check.ask(opened.context, parts)


@contextmanager
def _rows_apart(opened: Opened) -> Iterator[None]:
    """Raises Contradicted if an answer or a gradient inside depends on the rest of its batch.

    So it does if the network changes inside; AuditError if a model beside it does. Every part is
    told only if the batches of which it was made were looked at.
    """
    only_classes = opened.gives == "predictions"
    try:
        with opened.context.classifier.spot_checks.active(only_classes=only_classes):
            yield
    except RowsTouch as error:  # of the audited model: no other one is looked at
        raise Contradicted(str(error)) from error
    except Changed as error:
        kind = AuditError if error.name else Contradicted
        raise kind(str(error)) from error


def expect_room() -> None:
    """Takes as much memory as any model needs, and gives it back. Raises MemoryError."""
    bytearray(_LEAST_ROOM)


def expect_device(wanted: str, *, captured: bool) -> str:
    """The device that `wanted` means here, cpu or cuda. Raises AuditError if it is not here."""
    device = find_device().type if wanted == "auto" else wanted
    if device == "cuda" and not torch.cuda.is_available():
        raise AuditError("Expected a GPU for device: cuda, found none. Set device: auto or cpu.")
    if device == "cpu" and captured:
        raise AuditError("Expected a GPU for engine.captured, found none. Leave it out.")
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
