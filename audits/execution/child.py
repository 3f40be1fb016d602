"""Functions that run in the child process: they open a model, measure units, draw conclusions.

`open_model` is called through `Worker.call` once; config, model and data set then stay in the
process. Everything else is called through `run`.
"""

import gc
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.config.audit import AuditConfig
from audits.data import places, sources
from audits.data.remembered import Hashes
from audits.errors import AuditError, ModelRefused
from audits.evidence.codec import Part, to_part
from audits.evidence.evidence import Evidence, Picture
from audits.execution.first_plan import first_plan
from audits.execution.peak import reset_peak
from audits.execution.setting import Setting
from audits.execution.store import Store
from audits.models import loading
from audits.models.classes import matched_classes
from audits.models.files import ModelFiles
from audits.models.form import Ability, Adaptation
from audits.models.opening import OpenedNet, opened
from fillblanks import Classifier, OutOfMemory, Plan, find_device
from fillblanks.engine.memory import memory_told

_TRIED = 64  # images at most, on which a model is tried
_COMPARED = 8  # of them, on which a reference must differ from the audited model


@dataclass(frozen=True)
class Job:
    """All that the child needs to open model and data: small, no tensors."""

    config: AuditConfig
    files: ModelFiles
    reference: ModelFiles | None = None
    copies: Mapping[str, str] = field(default_factory=dict)  # of data that are elsewhere, by place
    name: str = field(default_factory=lambda: uuid.uuid4().hex)  # by which `run` asks for it


@dataclass(frozen=True)
class Opened:
    """A job whose model and data are open in this process."""

    job: Job
    context: AuditContext
    gives: Ability

    @property
    def config(self) -> AuditConfig:
        return self.job.config


class Answer(Enum):
    """Answers of `run` that stand in place of a result."""

    NOT_OPEN = "the model is not open in this process"


_opened: Opened | None = None


def open_model(job: Job) -> Setting:
    """Loads model and data and tries the model on a few images; what was open before is dropped.

    Raises AuditError if model and data do not fit together.
    """
    global _opened
    close_model()
    config, files = job.config, job.files
    device = _device(config)
    places.use(job.copies)
    given = sources.load(config.data)
    classes = matched_classes(given, files, config.preprocessing)
    images = given.for_model(classes, files.contract.fit)
    plan = first_plan(config, images)
    some = images.tensor(images.sampled_order(config.seed)[:_TRIED])
    net = opened(
        loading.load(files, device, images.classes),
        files.contract,
        some,
        len(images.classes),
        plan.chunk,
        certain=config.preprocessing.overrides,
    )
    classes.expect_logits(net.classes)
    reference = _open_reference(job, device, some, images.classes, net)
    classifier = net.classifier
    _opened = Opened(
        job,
        AuditContext(
            images=images,
            seed=config.seed,
            plan=plan,
            model=classifier,
            reference=reference.classifier if reference else None,
            contract=files.contract,
        ),
        net.gives,
    )
    return Setting(
        device=_device_name(classifier.device),
        dtype=str(classifier.dtype).removeprefix("torch."),
        torch=torch.__version__,
        speed=f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        gives=net.gives,
        model=net.adaptation,
        reference=reference.adaptation if reference else Adaptation(),
    )


def close_model() -> None:
    """Drops the model that is open, if any, and its memory."""
    global _opened
    if _opened is not None:
        _opened = None
        gc.collect()
    reset_peak()


def run(job: str, plan: Plan | None, function: Callable[..., Any], *args: Any) -> Any:
    """`function(opened, *args)` with the job of that name, or NOT_OPEN if it is not open here.

    Without a plan the default one is taken, with what the config fixes.
    """
    if _opened is None or _opened.job.name != job:
        return Answer.NOT_OPEN
    opened = _opened
    if plan is not None:
        opened = replace(opened, context=replace(opened.context, plan=plan))
    return function(opened, *args)


def _open_reference(
    job: Job, device: str, images: Tensor, classes: Sequence[str], own: OpenedNet
) -> OpenedNet | None:
    """Refuses a reference of other classes, and one that answers just as the audited model."""
    files = job.reference
    if files is None:
        return None
    contract, told = files.contract, job.config.preprocessing.outputs
    certain = contract.outputs is not None
    if not certain:
        contract = replace(contract, outputs=told)
    net = loading.load(files, device, classes)
    try:
        reference = opened(net, contract, images, own.classes, 2, certain=certain)
    except ModelRefused as error:
        raise ModelRefused(f"reference: {error}") from error
    if reference.classes != own.classes:
        raise ModelRefused(
            f"Expected a reference with logits of {own.classes} classes, got {reference.classes}."
        )
    if "predictions" in (own.gives, reference.gives):
        return reference  # two good models may well predict the same classes
    first = images[:_COMPARED]
    answers, others = (_answers(net.classifier, first) for net in (own, reference))
    if torch.allclose(answers, others, rtol=1e-3, atol=1e-3):
        raise ModelRefused(
            "Expected another model under reference, got one that answers just as the audited one."
        )
    return reference


def _answers(classifier: Classifier, images: Tensor) -> Tensor:
    with classifier.steady(), torch.no_grad():
        return classifier(classifier.to_device(images)).double().cpu().log_softmax(1)


def measure(
    opened: Opened, check: Check, unit: Unit, key: str, digest: str, hashes: Hashes
) -> Plan | None:
    """Measures one unit and puts its part into the store. `hashes` are of the unit's image files.

    If memory is too short for the plan it returns half the plan, and nothing is stored. Raises
    AuditError if not even one pass fits, and if the unit's images are not those of `digest`, before
    or after measuring.
    """
    context = opened.context
    context.images.learn(hashes)
    _expect_images(context, unit, digest)
    try:
        with memory_told(context.plan, context.images.tensor(unit.indices[:1]).shape):
            part = check.measure(context, unit)
    except OutOfMemory as error:
        return smaller_plan(error, opened.config, context.plan)
    _expect_images(context, unit, digest)
    Store(opened.config.store).put(key, part)
    return None


def smaller_plan(error: OutOfMemory, config: AuditConfig, plan: Plan) -> Plan:
    """Half the plan that memory was too short for; raises AuditError if there is none."""
    if plan.halved() != plan:
        return plan.halved()
    memory = config.limits.memory_gib
    raise AuditError(
        f"{error} limits.memory_gib = {memory:g}." if memory else str(error)
    ) from error


def _expect_images(context: AuditContext, unit: Unit, digest: str) -> None:
    if context.images.digest(unit.indices) != digest:
        raise AuditError(
            f"Expected {context.images.name} to stay as it was when the audit began, but its "
            "images have changed. Run the audit again."
        )


def tried(opened: Opened, check: Check) -> Part:
    """Evidence of a check that is measured and concluded at once, encoded; nothing is stored."""
    context = opened.context
    parts = [check.measure(context, unit) for unit in check.units(context)]
    return _encoded(check, check.conclude(context, parts))


def conclude(opened: Opened, check: Check, keys: Sequence[str]) -> Part:
    """Evidence from the parts under `keys`, encoded by `to_part`.

    Raises TypeError or ValueError, which names the check, if that gave no proper evidence.
    """
    store = Store(opened.config.store)
    parts: list[Part] = []
    for key in keys:
        part = store.get(key)
        if part is None:
            raise AuditError(
                f"Expected the part {key} in {store.folder}, found none. Run it again."
            )
        parts.append(part)
    return _encoded(check, check.conclude(opened.context, parts))


def _encoded(check: Check, evidence: object) -> Part:
    if not isinstance(evidence, Evidence):
        raise TypeError(
            f"Expected Evidence from conclude of {check.name}, got {type(evidence).__name__}."
        )
    try:
        for picture in evidence.pictures:
            _expect_picture(picture)
        return to_part(evidence)
    except MemoryError:
        raise
    except Exception as error:  # whatever another package's check has put in there
        raise ValueError(
            f"Expected evidence of {check.name} that can be written down, got "
            f"{type(error).__name__}: {' '.join(str(error).split())}. Give numbers and text of "
            "Python's own types, and arrays as pictures."
        ) from error


def _expect_picture(picture: Picture) -> None:
    image = picture.image
    if not isinstance(image, np.ndarray):
        raise TypeError(f"Expected an array as picture {picture.key!r}, got {type(image).__name__}")
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(
            f"Expected uint8 (H, W) or (H, W, 3) as picture {picture.key!r}, got {image.dtype} "
            f"{image.shape}"
        )


def _device(config: AuditConfig) -> str:
    device = find_device().type if config.device == "auto" else config.device
    if device == "cuda" and not torch.cuda.is_available():
        raise AuditError("Expected a GPU for device: cuda, found none. Set device: auto or cpu.")
    if device == "cpu" and config.engine.captured:
        raise AuditError("Expected a GPU for engine.captured, found none. Leave it out.")
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
