"""A model against its baseline: drops where the two can be compared, and why where they cannot."""

from dataclasses import replace

from audits.errors import AuditError
from audits.evidence.evidence import Evidence
from audits.evidence.pairing import can_be_paired, needs_same_size, with_drops
from audits.execution.evaluation import Evaluation
from audits.models.preprocessing import Preprocessing


def compared(
    evaluation: Evaluation, baseline: Evaluation, preprocessing: Preprocessing
) -> tuple[Evaluation, tuple[str, ...]]:
    """With drops below the baseline, and why there are none where there are none.

    `preprocessing` is the config's.
    """
    if baseline.refusal:
        return evaluation, (f"The baseline could not be opened: {baseline.refusal}",)
    if differing := _fed_differently(baseline, preprocessing):
        return evaluation, (differing,)
    evidence, reasons = [], []
    for own, other in zip(evaluation.evidence, baseline.evidence, strict=True):
        if own.status == "ok" and can_be_paired(own):
            try:
                _expect_same_task(own, evaluation, baseline)
                own = with_drops(own, other, evaluation.classes, baseline.classes)
            except AuditError as error:
                reasons.append(f"{own.check} was not compared with the baseline: {error}")
        evidence.append(own)
    return replace(evaluation, evidence=tuple(evidence)), tuple(reasons)


def _fed_differently(baseline: Evaluation, preprocessing: Preprocessing) -> str:
    """Why the baseline may have been fed wrongly; empty where nobody says so.

    Its own metadata went first. Where the config overrides such metadata, it may be because they
    are wrong, and every model looks good beside a baseline that is fed wrongly.
    """
    said = preprocessing.model_dump(include={"mean", "std", "classes"}, exclude_none=True)
    if not preprocessing.overrides:
        return ""
    fed = {name: (baseline.preprocessing or {}).get(name) for name in said}
    for name, value in said.items():
        if fed[name] != value:
            return (
                f"Not compared with the baseline: its metadata have {name} {fed[name]}, the "
                f"config's preprocessing has {value}. Should both be right, each for its own "
                "model, set preprocessing.overrides: false and give the model metadata."
            )
    return ""


def _expect_same_task(own: Evidence, evaluation: Evaluation, baseline: Evaluation) -> None:
    """Fills are of one difficulty only with the same masks on images of one size."""
    if needs_same_size(own) and evaluation.shape != baseline.shape:
        sizes = f"{evaluation.shape} and {baseline.shape}"
        raise AuditError(f"Expected images of one size, got {sizes}.")
