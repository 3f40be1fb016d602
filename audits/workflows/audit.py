"""run_audit: the whole story as a plain function."""

import time
from collections.abc import Sequence
from dataclasses import replace

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.imageset import ImageSet
from audits.data.sample import told
from audits.evidence.evidence import Evidence
from audits.evidence.pairing import without_drops
from audits.execution import fork_server
from audits.execution.evaluation import Evaluation
from audits.execution.executors import Executor, InProcess
from audits.execution.inputs import AuditInputs
from audits.execution.worker import Worker
from audits.models import registry
from audits.models.snapshot import snapshot
from audits.tracking import finder
from audits.tracking.past_pictures import with_pictures
from audits.tracking.payload import payload_of
from audits.tracking.recorder import Recorder
from audits.tracking.refused import RunMemory
from audits.tracking.tags import INPUTS_TAG
from audits.verdict.decide import NO_CONDITION, Verdict, decide
from audits.verdict.isolation import with_isolation
from audits.verdict.result import AuditResult
from audits.workflows.baseline import compared
from audits.workflows.evaluate import evaluate
from audits.workflows.possible import expect_possible
from audits.workflows.resolved import audit_digest, baseline_config, pinned, today, with_sample

_ONLY_COMPARES = (
    "Every condition of the policy compares with the baseline, so none judges it alone."
)


def run_audit(config: AuditConfig, *, executor: Executor | None = None) -> AuditResult:
    """Audits one model and records evidence and verdict in the MLflow that the environment names.

    The executor is handed the units of every check; without one they are measured one after the
    other in this process. A model that cannot be opened or a check that fails is recorded with
    verdict `undecided`. A baseline is measured too, by the same worker, unless a verified audit of
    it with the same digest is in MLflow; nothing is recorded at the baseline.

    Raises AuditError, with nothing recorded, if model or data are not found, or if the config asks
    for what cannot be done.
    """
    with snapshot():  # files are copied once
        return _run_audit(config, executor or InProcess())


def _run_audit(config: AuditConfig, executor: Executor) -> AuditResult:
    started = time.monotonic()
    if config.isolation in ("process", "none"):  # the processes of others are not forked
        fork_server.start()  # imports while model and data are looked for
    given, config = config, with_sample(pinned(config))
    model = registry.resolve(config.model)
    deprecated = registry.deprecation_of(model)
    images = sources.load(config.data)
    expect_possible(config, model, images)
    with Recorder(model, config.experiment) as recorder:
        baseline, refused = None, RunMemory(config.experiment, recorder.run_id)
        with Worker(config.limits.memory_gib) as worker:
            evaluation = evaluate(config, model, images, worker, executor, memories=[refused])
            if config.baseline is not None and not evaluation.refusal:
                baseline = _evaluate_baseline(
                    config, images, worker, executor, evaluation.notes, refused
                )
        drawn = config.data != given.data
        of_data, untried = told(given.data, config.data), _untried(config, drawn)
        notes = (*of_data, *evaluation.notes, *untried)
        if deprecated:
            notes += (f"The version is deprecated ({deprecated}): the gate refuses it.",)
        if baseline is not None:
            evaluation, reasons = compared(evaluation, baseline, config.preprocessing)
            notes += (f"Figures named _drop: how much worse than {config.baseline}.", *reasons)
            own = (note for note in baseline.notes if note not in notes)  # its page has them all
            notes += tuple(f"The baseline: {note}" for note in own)
        if evaluation.checks:
            config = config.model_copy(update={"checks": evaluation.checks})
        result = AuditResult(
            config=config,
            model=model,
            data_name=images.name,
            image_count=len(images),
            evaluation=evaluation,
            baseline=None,
            digest=audit_digest(config, evaluation.digest, baseline.digest if baseline else None),
            notes=notes,
            verdict=_verdict(config, evaluation, baseline),
            run_id=recorder.run_id,
            page=recorder.page,
            seconds=time.monotonic() - started,
            drawn=drawn,
        )
        if baseline is not None:
            notes = (*of_data, *baseline.notes, *untried)
            result = replace(result, baseline=_alone(result, baseline, notes))
        recorder.finish(payload_of(result))
    return result


def _verdict(
    config: AuditConfig, evaluation: Evaluation, baseline: Evaluation | None = None
) -> Verdict:
    given = config.policy, evaluation.evidence, today(), evaluation.questions, evaluation.skipped
    beside = baseline.evidence if baseline is not None else ()
    verdict = decide(*given, config.checks, evaluation.doubts, beside)
    if evaluation.refusal:
        verdict = Verdict("undecided", evaluation.refusal, verdict.judgements)
    return with_isolation(verdict, config.isolation)


def _alone(result: AuditResult, baseline: Evaluation, notes: tuple[str, ...]) -> AuditResult:
    """The findings about the baseline of an audit, judged by the conditions that do not compare."""
    own = baseline_config(result.config)
    policy = result.config.policy.alone
    own = own.model_copy(update={"policy": policy, "checks": baseline.checks or own.checks})
    verdict = _verdict(own, baseline)
    if not policy.conditions and result.config.policy.conditions:
        verdict = replace(verdict, reason=verdict.reason.replace(NO_CONDITION, _ONLY_COMPARES))
    return replace(
        result,
        config=own,
        model=registry.resolve(own.model),
        evaluation=baseline,
        digest=audit_digest(own, baseline.digest, None),
        notes=notes,
        verdict=verdict,
    )


def _untried(config: AuditConfig, drawn: bool) -> tuple[str, ...]:
    """Sentences about what no check tried; `drawn` says whether the images are a secret sample."""
    kinds = {check.kind for check in config.checks}
    notes = []
    if "input_doctor" not in kinds:
        notes.append(
            "No input_doctor among the checks: whether images are fed as the model's owner feeds "
            "them was not tried."
        )
    if "shifts" not in kinds and not drawn:
        notes.append(
            "No check moves the images and they are not a secret sample, so a model that knows "
            "these images by heart would not be found: add `- kind: shifts` to checks."
        )
    return tuple(notes)


def _evaluate_baseline(
    config: AuditConfig,
    images: ImageSet,
    worker: Worker,
    executor: Executor,
    told: Sequence[str],
    refused: RunMemory,
) -> Evaluation:
    own = baseline_config(config)
    model = registry.resolve(own.model)

    def known(inputs: AuditInputs) -> list[Evidence] | None:
        found = finder.find(own.experiment, **{INPUTS_TAG: inputs.digest})
        if found is None or found.questions or found.doubts:
            return None  # they are asked anew
        evidence = [without_drops(one) for one in with_pictures(found)]
        same = [one.check for one in evidence] == [check.name for check in own.checks]
        return evidence if same else None

    return evaluate(own, model, images, worker, executor, known, told, [refused])
