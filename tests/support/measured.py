"""Measures and concludes a check in this process, in the way in which an audit does."""

from dataclasses import replace

from audits.checks.part_form import mistake, unlike
from audits.models.contract import InputContract


def evidence_of(check, audit, units=None):
    """The check's evidence. Parts must have the form that the check says they have."""
    audit = with_contract(audit)
    parts = []
    for unit in check.units(audit) if units is None else units:
        part = check.measure(audit, unit)
        assert mistake(part, check.part_form(audit, unit), audit, unit) == ""
        parts.append(part)
    if check.asks_at_the_end:
        answers = check.ask(audit, parts)
        forms = check.ask_form(audit, parts)
        assert forms is None or unlike(answers, forms) == ""
        parts.append(answers)
    return check.conclude(replace(audit, model=None, reference=None, versions=()), parts)


def with_contract(audit):
    """The audit, with the contract that its classifier carries out if it has none."""
    if audit.contract is not None:
        return audit
    model = audit.classifier
    mean, std = (tuple(values.flatten().tolist()) for values in (model.mean, model.std))
    return replace(audit, contract=InputContract(audit.images.fit, mean=mean, std=std))
