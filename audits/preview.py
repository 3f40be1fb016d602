"""preview: what an audit would do, without doing it."""

import tempfile
from pathlib import Path

from audits import data, models, registry
from audits.checks.base import AuditContext
from audits.config import AuditConfig
from audits.store import default_folder
from fillblanks import Plan


def preview(config: AuditConfig) -> str:
    """What would be audited and how many passes it takes at least; nothing is run or recorded.

    Raises AuditError where model or data are not found or the model would be refused.
    """
    model = registry.resolve(config.model)
    images = data.load(config.data)
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        fetched = registry.fetch(model, Path(folder))
        files = models.inspect(fetched, config.preprocessing, config.trust_pickle_sha256)
    images = images.for_model(files.classes, files.shape)
    context = AuditContext(images, config.seed, Plan(chunk=1))
    lines = [
        f"model   {model} ({model.uri})",
        f"data    {images.name}, {len(images)} images of {len(images.classes)} classes",
        f"store   {config.store or default_folder()}",
    ]
    lines += [
        f"note    {note}" for note in (*files.notes, *images.adaptations(), *images.weaknesses())
    ]
    for check in config.checks:
        chosen = len(check.chosen(context))
        lines.append(
            f"check   {check.name}: {chosen} images in {len(check.units(context))} units, "
            f"{check.passes(chosen):,} passes or more"
        )
    lines += [f"policy  {condition}" for condition in config.policy.conditions]
    lines.append(f"total   {config.passes(len(images)):,} passes or more")
    return "\n".join(lines)
