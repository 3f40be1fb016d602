"""What runs in the child process: the model on its bench, measured and concluded upon.

These functions are called through `Worker.call` with a `Job`; the model and the data set are opened
by the first call and kept for the next.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch

from audits import data, models
from audits.checks.base import AuditContext, Check, Unit
from audits.config import AuditConfig
from audits.errors import AuditError, ModelRefused
from audits.evidence import Evidence
from audits.models import ModelFiles
from audits.store import Part, Store
from fillblanks import default_plan, find_device


@dataclass(frozen=True)
class Job:
    """All that the child needs to open model and data: small, no tensors."""

    config: AuditConfig
    files: ModelFiles


@dataclass(frozen=True)
class Setting:
    """How the model runs, once it is open; part of the key of every part."""

    device: str
    dtype: str
    torch: str  # its version
    plan: dict[str, Any]


def open_model(job: Job) -> Setting:
    """Loads the model and tries it on a few images. Raises AuditError where it does not fit."""
    context = _context(job)
    classifier = context.classifier
    try:
        with classifier.steady():
            first = classifier.to_input(context.images.tensor([0]))
            count = classifier.probe(first, context.plan.chunk)
    except ValueError as error:
        raise ModelRefused(str(error)) from error
    if count != len(context.classes):
        raise ModelRefused(
            f"Expected logits of {len(context.classes)} classes, as the data has, got {count}. "
            "Name the model's classes, in the order of its logits, under preprocessing.classes."
        )
    return Setting(
        device=_device_name(classifier.device),
        dtype=str(classifier.dtype).removeprefix("torch."),
        torch=torch.__version__,
        plan=asdict(context.plan),
    )


def measure(job: Job, check: Check, unit: Unit, key: str, digest: str) -> None:
    """Measures one unit and puts its part into the store.

    Raises AuditError where its images are not those of `digest`, before or after measuring.
    """
    context = _context(job)
    _expect_images(context, unit, digest)
    part = check.measure(context, unit)
    _expect_images(context, unit, digest)
    Store(job.config.store).put(key, part)


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
    return check.conclude(_context(job), parts)


def _context(job: Job) -> AuditContext:
    return _opened(job.config.model_dump_json(), job.files)


@lru_cache(maxsize=1)
def _opened(config_json: str, files: ModelFiles) -> AuditContext:
    config = AuditConfig.model_validate_json(config_json)
    device = find_device().type if config.device == "auto" else config.device
    if device == "cuda" and not torch.cuda.is_available():
        raise AuditError("Expected a GPU for device: cuda, found none. Set device: auto or cpu.")
    classifier = models.load(files, device)
    images = data.load(config.data).for_model(files.classes, files.shape)
    channels, height, width = images.tensor([0]).shape[1:]
    return AuditContext(
        images=images,
        seed=config.seed,
        plan=default_plan(channels, height, width),
        model=classifier,
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
