"""AuditResult: the findings of one audit."""

from dataclasses import dataclass

from audits.config.audit import AuditConfig
from audits.evidence.evidence import Evidence
from audits.execution.evaluation import Evaluation
from audits.models.registry import Resolved
from audits.verdict.decide import Verdict


@dataclass(frozen=True)
class AuditResult:
    """The findings of an audit about a model and its baseline, and the run that records them."""

    config: AuditConfig  # with aliases resolved, and what depends on the images written out
    model: Resolved
    data_name: str
    image_count: int  # in the data set
    evaluation: Evaluation
    # Judged by the conditions that do not compare; None: there is none, or the model was refused.
    baseline: "AuditResult | None"
    digest: str | None  # of inputs, baseline and policy; None: the model could not be opened
    notes: tuple[str, ...]
    verdict: Verdict
    run_id: str
    page: str  # of the run, below the root of the MLflow UI
    seconds: float
    drawn: bool = False  # whether the images are a secret sample that was drawn for this audit

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Of the audited model, one a check."""
        return self.evaluation.evidence

    @property
    def inputs_digest(self) -> str | None:
        """sha256 of all that decides what is measured."""
        return self.evaluation.digest
