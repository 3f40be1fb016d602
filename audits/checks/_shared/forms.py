"""The forms of arrays that several checks have in their parts."""

from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array


def columns_form(audit: AuditContext, unit: Unit, *predicted: str) -> dict[str, Array]:
    """The form of `index`, `label` and columns of predicted classes, -1 for none of them."""
    n, last = len(unit.indices), len(audit.classes) - 1
    return {
        "index": Array("int", (n,)),
        "label": Array("int", (n,)),
        **{name: Array("int", (n,), -1, last) for name in predicted},
    }


def recognised_form(audit: AuditContext, unit: Unit, *names: str) -> dict[str, Array]:
    """The form of the columns of `recognised`, with those of a reference, if the audit has one."""
    n, last = len(unit.indices), len(audit.classes) - 1
    return {
        f"{name}{by}{null}": Array("int", (n,), -1, last)
        for name in names
        for by in ("", *(["_reference"] if audit.with_reference else []))
        for null in ("", "_null")
    }


def shown_form(audit: AuditContext, unit: Unit, steps: int) -> dict[str, Array]:
    """The form of pictures `shown`, uint8 (n, steps, H, W, 3), and their `shown_label`.

    They are of the unit's images whose pictures are kept.
    """
    n, (_, height, width) = len(set(unit.shown).intersection(unit.indices)), audit.shape
    return {
        "shown_label": Array("int", (n,), 0, len(audit.classes) - 1),
        "shown": Array("int", (n, steps, height, width, 3), 0, 255),
    }
