"""The plan that needs no trial of the model."""

from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from fillblanks import Plan, default_plan
from fillblanks.engine.plan import with_fixed


def first_plan(config: AuditConfig, images: ImageSet, largest: int | None = None) -> Plan:
    """The default plan for images of this shape, with what the config fixes.

    `largest` is the most images that the model takes in a pass, if it states that.
    """
    shape = images.tensor([0]).shape[1:]
    return with_fixed(default_plan(*shape), config.engine.fixed, shape, largest)
