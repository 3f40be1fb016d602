"""What runs in the child process: the model on its bench, measured and concluded upon.

These functions are called through `Worker.call` with a `Job`; the model and the data set are opened
by the first call and kept for the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.config.audit import AuditConfig
from audits.data import sources
from audits.errors import AuditError, ModelRefused
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.execution.store import Store
from audits.models import loading
from audits.models.files import ModelFiles
from fillblanks import Classifier, OutOfMemory, Plan, default_plan, find_device
from fillblanks.engine.memory import memory_told
from fillblanks.engine.plan import with_fixed
from fillblanks.memory import is_short

_TRIED = 8  # images on which a reference must differ from the audited model


@dataclass(frozen=True)
class Job:
    """All that the child needs to open model and data: small, no tensors."""

    config: AuditConfig
    files: ModelFiles
    reference: ModelFiles | None = None
    plan: Plan | None = None  # not known until the model is open


@dataclass(frozen=True)
class Setting:
    """Where the model runs, once it is open; with the plan, part of the key of every part."""

    device: str
    dtype: str
    torch: str  # its version
    speed: str  # what tuning depends on besides: instructions and threads of the CPU


def open_model(job: Job) -> Setting:
    """Loads the model and tries it on a few images. Raises AuditError where it does not fit."""
    context = context_of(job)
    classifier = context.classifier
    try:
        with classifier.steady():
            first = classifier.to_input(context.images.tensor([0]))
            count = _probed(classifier, first, context.plan.chunk)
    except ValueError as error:
        raise ModelRefused(str(error)) from error
    if count != len(context.classes):
        raise ModelRefused(
            f"Expected logits of {len(context.classes)} classes, as the data has, got {count}. "
            "Name the model's classes, in the order of its logits, under preprocessing.classes."
        )
    if context.reference is not None:
        _try_reference(context, count)
    return Setting(
        device=_device_name(classifier.device),
        dtype=str(classifier.dtype).removeprefix("torch."),
        torch=torch.__version__,
        speed=f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
    )


def _try_reference(context: AuditContext, classes: int) -> None:
    """Refuses a reference of other classes, and one that answers just as the audited model."""
    reference = context.reference
    assert reference is not None
    images = context.images.tensor(context.images.sampled_order(context.seed)[:_TRIED])
    answers = []
    try:
        for model in (context.classifier, reference):
            with model.steady():
                inputs = model.to_input(images)
                count = _probed(model, inputs[:1], 2)
                answers.append(model(model.to_device(inputs)).double().cpu())
    except ValueError as error:
        raise ModelRefused(f"reference: {error}") from error
    if count != classes:
        raise ModelRefused(f"Expected a reference with logits of {classes} classes, got {count}.")
    own, other = (answer.log_softmax(1) for answer in answers)
    if torch.allclose(own, other, rtol=1e-3, atol=1e-3):
        raise ModelRefused(
            "Expected another model under reference, got one that answers just as the audited one."
        )


def _probed(classifier: Classifier, image: Tensor, rows: int) -> int:
    """`Classifier.probe` with as many rows as a pass has, or as memory has room for."""
    try:
        return classifier.probe(image, rows)
    except (RuntimeError, MemoryError) as error:
        if rows == 1 or not is_short(error):
            raise
    return _probed(classifier, image, rows // 2)


def measure(job: Job, check: Check, unit: Unit, key: str, digest: str) -> Plan | None:
    """Measures one unit and puts its part into the store.

    Where memory is too short for the plan it returns half the plan, and nothing is stored. Raises
    AuditError where not even one pass fits, and where the unit's images are not those of `digest`,
    before or after measuring.
    """
    context = context_of(job)
    _expect_images(context, unit, digest)
    try:
        with memory_told(context.plan, context.images.tensor(unit.indices[:1]).shape):
            part = check.measure(context, unit)
    except OutOfMemory as error:
        return smaller_plan(error, job, context.plan)
    _expect_images(context, unit, digest)
    Store(job.config.store).put(key, part)
    return None


def smaller_plan(error: OutOfMemory, job: Job, plan: Plan) -> Plan:
    """Half the plan that memory was too short for; raises AuditError where there is none."""
    if plan.halved() != plan:
        return plan.halved()
    memory = job.config.limits.memory_gib
    raise AuditError(
        f"{error} limits.memory_gib = {memory:g}." if memory else str(error)
    ) from error


def _expect_images(context: AuditContext, unit: Unit, digest: str) -> None:
    if context.images.digest(unit.indices) != digest:
        raise AuditError(
            f"Expected {context.images.name} to stay as it was when the audit began, but its "
            "images have changed. Run the audit again."
        )


def conclude(job: Job, check: Check, keys: Sequence[str]) -> Evidence:
    """Evidence from the parts under `keys`."""
    store = Store(job.config.store)
    parts: list[Part] = []
    for key in keys:
        part = store.get(key)
        if part is None:
            raise AuditError(
                f"Expected the part {key} in {store.folder}, found none. Run it again."
            )
        parts.append(part)
    return check.conclude(context_of(job), parts)


def context_of(job: Job) -> AuditContext:
    """Model and data of a job, opened once; with the job's plan, where it has one."""
    context = _opened(job.config.model_dump_json(), job.files, job.reference)
    return context if job.plan is None else replace(context, plan=job.plan)


@lru_cache(maxsize=1)
def _opened(config_json: str, files: ModelFiles, reference: ModelFiles | None) -> AuditContext:
    config = AuditConfig.model_validate_json(config_json)
    device = find_device().type if config.device == "auto" else config.device
    if device == "cuda" and not torch.cuda.is_available():
        raise AuditError("Expected a GPU for device: cuda, found none. Set device: auto or cpu.")
    if device == "cpu" and config.engine.captured:
        raise AuditError("Expected a GPU for engine.captured, found none. Leave it out.")
    classifier = loading.load(files, device)
    images = sources.load(config.data).for_model(files.classes, files.shape)
    shape = images.tensor([0]).shape[1:]
    plan = with_fixed(default_plan(*shape), config.engine.fixed, shape)
    return AuditContext(
        images=images,
        seed=config.seed,
        plan=plan,
        model=classifier,
        reference=loading.load(reference, device) if reference else None,
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
