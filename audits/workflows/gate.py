"""The gate: audits a version or takes its current audit, decides, and may promote the version."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Self

import mlflow

from audits.config.audit import AuditConfig
from audits.config.policy import Policy
from audits.config.reading import parse_config
from audits.errors import AuditError, one_line
from audits.evidence.evidence import Evidence
from audits.models import registry
from audits.models.registry import Resolved
from audits.models.snapshot import files_anew, snapshot
from audits.report.answer import answer
from audits.report.markdown import links, table, text
from audits.tracking import reader
from audits.tracking.audited import UI, page_url, ui_command
from audits.verdict.decide import Verdict, decide
from audits.verdict.isolation import WITHOUT, with_isolation
from audits.verdict.result import AuditResult
from audits.verdict.suggest import default_policy
from audits.workflows.audit import run_audit
from audits.workflows.freshness import due
from audits.workflows.promote import Promotion
from audits.workflows.recorded import config_of
from audits.workflows.resolved import pinned, today

_LONGEST = 4000  # characters of a text in the summary
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """The answer of the gate, and the audit that it comes from."""

    model: Resolved | str  # the URI as it was given, if it could not be resolved
    baseline: str | None
    verdict: Verdict
    run_id: str
    page: str  # of the run, below the root of the MLflow UI; empty without a run
    reused: bool  # the audit was in MLflow already
    promotion: str = ""  # the move of the alias, in words; empty without a move
    evidence: tuple[Evidence, ...] = ()  # of the audit
    files: frozenset[str] = frozenset()  # names of the run's artifacts

    @classmethod
    def impossible(cls, model: str, baseline: str | None, reason: str) -> Self:
        """The undecided answer if no audit could be made, and the reason."""
        return cls(model, baseline, Verdict("undecided", reason), "", "", reused=False)

    @property
    def line(self) -> str:
        """The answer and the condition that decided, in one line."""
        return f"{self.verdict.told}: {' '.join(self.verdict.reason.split())}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model if isinstance(self.model, str) else self.model.uri,
            "baseline": self.baseline,
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "not_covered": self.verdict.not_covered or None,
            "conditions": [judgement.to_json() for judgement in self.verdict.judgements],
            "run_id": self.run_id,
            "page": self.page,
            "reused": self.reused,
            "promotion": self.promotion or None,
        }

    def to_markdown(self) -> str:
        """Word, sentence, conditions and links; the last line says which condition decided.

        If no server shows the run, the command is there that starts one.
        """
        found, reason = answer(self.verdict, self.evidence), self.verdict.reason
        parts = [f"### {text(str(self.model), _LONGEST)}: {found.word}"]
        if found.sentence != reason:  # the last line has it
            parts += [WITHOUT] if reason.startswith(WITHOUT) else []
            parts.append(text(found.sentence, _LONGEST))
        parts.append(text(found.note, _LONGEST))
        parts.append(table(found.rows, len(found.rows), _LONGEST))
        if self.run_id:
            compared = f", compared with {self.baseline}" if self.baseline else ""
            parts.append(text(f"Run {self.run_id}{compared}.", _LONGEST))
            uri = mlflow.get_tracking_uri()
            if root := page_url(uri, ""):
                parts.append(links(root, self.page, self.files))
            elif command := ui_command(uri):
                shown = links(UI, self.page, self.files)
                parts.append(f"To see it: <code>{escape(command)}</code>, then {shown}")
        if self.promotion:
            parts.append(text(f"Promoted, {self.promotion}.", _LONGEST))
        if found.decider != reason:
            recorded = escape(one_line(reason))
            parts.append(f"<details><summary>In full</summary>{recorded}</details>")
        parts.append(text(f"{found.word}: {found.decider}", _LONGEST))
        return "\n\n".join(part for part in parts if part) + "\n"


def gate(
    model: str,
    *,
    baseline: str | None = None,
    config: AuditConfig | dict[str, Any] | None = None,
    policy: Policy | None = None,
    promote: str | None = None,
    accept_partial: bool = False,
    fresh: bool = False,
    audit: Callable[[AuditConfig], AuditResult] = run_audit,
) -> Decision:
    """Decides on `model`, compared with `baseline`, and may promote it.

    `config` is an AuditConfig or its plain values; without it, the settings that decide the figures
    are those of the baseline's standing audit, if its data come with a library and its checks with
    this package. Without `policy` the config's policy is taken, or
    the default policy if the config's has no conditions. A version that is deprecated or not yet
    registered is refused. The standing audit of the version is used
    if a new audit would come out the same, unless `fresh`. The alias `promote` is moved last and
    only to a version that passed; if the move fails, the decision is `undecided`. So is it if no
    condition judged what the model has learnt, or if the baseline itself fails, unless
    `accept_partial`.

    Every URI is resolved once, so that an alias means one version from beginning to end. The files
    of a version are copied once to be measured, and once more before it is promoted. Raises
    AuditError if model, baseline, config or data are not found.
    """
    with snapshot():
        resolved = registry.resolve(model)
        registry.expect_in_use(resolved)
        # Looked up before the baseline, which may be the same alias: no move stays unnoticed.
        promotion = Promotion.planned(resolved, promote) if promote is not None else None
        asked = _asked(resolved, baseline, config, policy)
        if promotion is not None:
            promotion = promotion.after(asked.baseline if asked.compares else None)
        decision = _decision(resolved, asked, fresh, audit)
        if promotion is None or decision.verdict.word != "passed":
            return decision
        try:
            _expect_covered(decision.verdict, accept_partial)
            _expect_standing(asked, decision.run_id)
            promotion.carry_out(decision.run_id)
        except AuditError as error:
            reason = f"not promoted: {error}"
            verdict = replace(decision.verdict, word="undecided", reason=reason, deciding=())
            return replace(decision, verdict=with_isolation(verdict, asked.isolation))
        return replace(decision, promotion=str(promotion))


def _decision(
    model: Resolved, asked: AuditConfig, fresh: bool, audit: Callable[[AuditConfig], AuditResult]
) -> Decision:
    """The decision from the standing audit if it is current, else from a new audit."""
    found = None if fresh else due(asked).audit
    if found is not None:
        given = asked.policy, found.evidence, today(), found.questions, found.skipped
        verdict = decide(*given, asked.checks, found.doubts, found.baseline)
        verdict = with_isolation(verdict, found.isolation)
        run, evidence, reused = (found.run_id, found.page), tuple(found.evidence), True
    else:
        result = audit(asked)
        run, evidence, reused = (result.run_id, result.page), result.evidence, False
        verdict = result.verdict
    files = reader.artifacts(run[0])
    return Decision(model, asked.baseline, verdict, *run, reused, evidence=evidence, files=files)


def _expect_covered(verdict: Verdict, accept_partial: bool) -> None:
    """Raises AuditError if the verdict covers only a part."""
    if verdict.not_covered and not accept_partial:
        raise AuditError(
            f"the version has passed in part. {verdict.not_covered} Change checks, policy or "
            "baseline, or give --accept-partial to promote it all the same."
        )


def _expect_standing(asked: AuditConfig, run_id: str) -> None:
    """Raises AuditError if the audit is not current any more, or its files were exchanged."""
    with files_anew():
        found, why, _ = due(asked)
    if found is None or found.run_id != run_id:
        raise AuditError(f"Expected run {run_id} to be still the audit of {asked.model}: {why}")


def _asked(
    model: Resolved,
    baseline: str | None,
    config: AuditConfig | dict[str, Any] | None,
    policy: Policy | None,
) -> AuditConfig:
    """The config of the audit that is needed, with everything resolved."""
    compared = registry.resolve(baseline) if baseline is not None else None
    if policy is not None and not policy.conditions:
        raise AuditError("Expected a policy with conditions, got one without. Leave --policy out.")
    resolved = {"model": model.uri} | ({"baseline": compared.uri} if compared else {})
    if isinstance(config, AuditConfig):
        asked = config.model_copy(update=resolved)
        asked = asked if policy is None else asked.with_policy(policy)
    else:
        values = (dict(config) if config is not None else _recorded(compared)) | resolved
        if policy is not None:
            values["policy"] = policy.model_dump(mode="json")
        asked = parse_config(values)
    asked = pinned(asked)
    if not asked.policy.conditions:
        if asked.baseline is None:
            raise AuditError(
                "Expected a policy with conditions, or a baseline, which the default policy "
                "compares with. Give --policy or --baseline."
            )
        default = default_policy(asked.checks, asked.policy.min_coverage)
        asked = asked.with_policy(default)
    if asked.baseline is not None and not asked.compares:
        log.warning("No condition compares with the baseline: the policy has no max_drop.")
    if asked.baseline == asked.model:
        log.warning("The baseline is the model itself: it cannot be worse.")
    return asked


def _recorded(baseline: Resolved | None) -> dict[str, Any]:
    if baseline is None:
        raise AuditError(
            "Expected a config, or a baseline whose audit has one; got neither. Give --config or "
            "--baseline."
        )
    return config_of(baseline)
