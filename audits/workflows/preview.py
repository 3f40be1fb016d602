"""preview: the plan and the cost of an audit, without auditing."""

import pandas as pd

from audits.checks.input_doctor import InputDoctor
from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.imageset import ImageSet
from audits.errors import AuditError, quoted
from audits.evidence.evidence import Evidence
from audits.execution import fork_server
from audits.execution.cost import passes_told
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker, WorkerFailure
from audits.models import registry
from audits.models.registry import Resolved
from audits.workflows.possible import expect_possible
from audits.workflows.resolved import baseline_config, pinned, with_sample


def preview(config: AuditConfig) -> str:
    """Text: model, data, input contract and plan of the audit, and the cost of all that is left.

    The model is opened and tried, also with neighbours of its input contract, whether or not the
    config has such a check; nothing is recorded. Raises AuditError if model or data are not found,
    or if the model is refused or does not run.
    """
    if config.isolation in ("process", "none"):  # the processes of others are not forked
        fork_server.start()  # imports while model and data are looked for
    config = with_sample(config)
    model = registry.resolve(config.model)
    images = sources.load(config.data)
    expect_possible(config, model, images)
    try:
        with Worker(config.limits.memory_gib) as worker:
            told = _told(config, model, images, worker)
            if config.baseline is not None:
                own = baseline_config(pinned(config))
                told += "\n\nand the baseline, unless a verified audit of it is in MLflow:\n"
                told += _told(own, registry.resolve(own.model), images, worker)
            return told
    except WorkerFailure as error:
        raise AuditError(f"Expected a model that runs, but {error.reason.rstrip('.')}.") from error


def _told(config: AuditConfig, model: Resolved, images: ImageSet, worker: Worker) -> str:
    with AuditInputs(config, model, images) as inputs, Session(inputs, worker) as session:
        contract = inputs.files.contract
        cost = session.cost()  # which finds out whether the plan fits
        doctor = next((c for c in session.config.checks if isinstance(c, InputDoctor)), None)
        found = session.tried(doctor or InputDoctor())
        lines = [
            f"model   {model} ({model.uri})",
            f"data    {session.images.name}, {len(session.images)} images of "
            f"{len(session.images.classes)} classes",
            f"store   {session.store.folder}",
            f"plan    {session.plan}",
        ]
        lines += [f"input   {name}: {value} ({source})" for name, value, source in contract.rows()]
        lines += [f"unknown {question}" for question in inputs.questions]
        lines += doctor_lines(found)
        lines += [f"note    {note}" for note in session.notes]
        for check in config.checks:
            chosen, units = len(check.chosen(session.context)), session.units(check)
            captions = ", ".join(check.captions())
            least, most = (
                sum(map(of, units)) for of in (check.unit_passes, check.most_unit_passes)
            )
            lines += [
                f"check   {check.name}: {chosen} images in {len(units)} unit"
                f"{'s' * (len(units) > 1)}, {passes_told(least, most)}",
                f"        needs {check.needs}; pictures: {captions or 'none'}",
            ]
        lines += [f"policy  {condition}" for condition in config.policy.conditions]
        lines.append(f"left    {cost}")
    return "\n".join(lines)


def doctor_lines(found: Evidence) -> list[str]:
    """The table of an input doctor, and its question or conclusion, for a terminal."""
    rows = [("fed as", "accuracy", "gain", "confidence", "cure")]
    rows += [
        (
            str(row["name"]),
            f"{row['accuracy']:.2f} [{row['low']:.2f}, {row['high']:.2f}]",
            _number(row["gain"], "{:+.2f}")
            + ("" if pd.isna(row["gain"]) else f" [{row['gain_low']:.2f}, {row['gain_high']:.2f}]"),
            _number(row["confidence"], "{:.2f}"),
            str(row["cure"]),
        )
        for _, row in found.tables["neighbours"].iterrows()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if "not_tried" in found.tables:
        missed = found.tables["not_tried"]
        lines += [
            f"not tried: {name} ({reason})"
            for name, reason in zip(missed["name"], missed["reason"], strict=True)
        ]
    if (logits := found.tables.get("logits")) is not None:
        lines += [
            f"logit {row.logit} is the answer for {row.images} images, {row.of_them} of them of "
            f"{quoted(row.commonest_class)}"
            for row in logits.itertuples()
        ]
    return [f"doctor  {line}" for line in [*lines, found.sentence]]


def _number(value: float, form: str) -> str:
    return "" if pd.isna(value) else form.format(value)
