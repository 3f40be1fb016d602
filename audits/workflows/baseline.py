"""Compares a model with its baseline: adds drops, or says why there are none."""

import logging
from dataclasses import replace

from audits.errors import AuditError, shortened
from audits.evidence.evidence import Evidence
from audits.evidence.pairing import can_be_paired, needs_same_size, with_drops
from audits.execution.evaluation import Evaluation
from audits.models.class_names import distinct, names_of_config
from audits.models.preprocessing import Preprocessing

log = logging.getLogger(__name__)


def compared(
    evaluation: Evaluation, baseline: Evaluation, preprocessing: Preprocessing
) -> tuple[Evaluation, tuple[str, ...]]:
    """Adds drops below the baseline, and returns notes: a reason for each check that has none.

    Another note says in which fields of their input contracts the two differ. `preprocessing` is
    the config's.
    """
    if baseline.refusal:
        return evaluation, (f"The baseline could not be opened: {baseline.refusal}",)
    by_checks = [question for one in baseline.evidence for question in one.questions]
    if asked := " ".join([*baseline.questions, *by_checks]):
        return evaluation, (f"Not compared with the baseline, whose input is not known: {asked}",)
    if baseline.doubts:
        return evaluation, (f"Not compared with the baseline: {' '.join(baseline.doubts)}",)
    if differing := _fed_differently(baseline, preprocessing):
        return evaluation, (differing,)
    evidence, reasons = [], _changes(evaluation, baseline)
    for change in reasons:
        log.warning("%s", change)
    for own, other in zip(evaluation.evidence, baseline.evidence, strict=True):
        if own.status == "ok" and can_be_paired(own):
            try:
                _expect_same_task(own, evaluation, baseline)
                own = with_drops(own, other, evaluation.classes, baseline.classes)
            except AuditError as error:
                reasons.append(f"{own.check} was not compared with the baseline: {error}")
        evidence.append(own)
    return replace(evaluation, evidence=tuple(evidence)), tuple(reasons)


def _changes(evaluation: Evaluation, baseline: Evaluation) -> list[str]:
    """A sentence about what a program that serves the model has to change; empty without any.

    Each of the two is measured as its own metadata say, so no figure tells of it.
    """
    own, other = (
        {**(one.preprocessing or {}), "classes": one.classes} for one in (evaluation, baseline)
    )
    told = [
        f"{name} {shortened(value)} instead of {shortened(other[name])}"
        for name, value in own.items()
        if name in other and name != "outputs" and not _same(value, other[name])
    ]
    if not told:
        return []
    return [
        f"The model is not fed or read as the baseline is: {'; '.join(told)}. Whatever serves it "
        "in the baseline's place has to change with it."
    ]


def _fed_differently(baseline: Evaluation, preprocessing: Preprocessing) -> str:
    """Why the baseline's inputs may have been prepared wrongly; empty if nothing suggests that.

    Its own metadata came first. If the config contradicts them, they may be wrong, and every model
    looks good beside a baseline whose inputs are prepared wrongly.
    """
    if not preprocessing.overrides:
        return ""
    said = preprocessing.contract_fields
    if names := names_of_config(preprocessing):
        said["classes"] = distinct(names)
    fed = {name: (baseline.preprocessing or {}).get(name) for name in said}
    for name, value in said.items():
        if not _same(fed[name], value):
            return (
                f"Not compared with the baseline: its metadata have {name} "
                f"{shortened(fed[name])}, the config's preprocessing has {shortened(value)}. If "
                "both are right, each for its own model, set preprocessing.overrides: false and "
                "give the model metadata."
            )
    return ""


def _same(fed: object, said: object) -> bool:
    """Whether two values of a field mean the same: one number stands for every channel."""
    if isinstance(fed, tuple) and isinstance(said, tuple) and 1 in (len(fed), len(said)):
        return len({*fed, *said}) == 1
    return fed == said


def _expect_same_task(own: Evidence, evaluation: Evaluation, baseline: Evaluation) -> None:
    """Raises AuditError if masks, and so the difficulty of fills, differ with the images' size."""
    if needs_same_size(own) and evaluation.shape != baseline.shape:
        sizes = f"{evaluation.shape} and {baseline.shape}"
        raise AuditError(f"Expected images of one size, got {sizes}.")
