"""fillblanks audit: audits one model now."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from flows.commands.common import (
    EXIT,
    add_command,
    add_model,
    add_without_prefect,
    say_run,
    through_prefect,
)
from flows.terminal.text import clean

if TYPE_CHECKING:
    from audits import AuditConfig, AuditResult


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `audit` and its options."""
    parser = add_command(
        commands,
        "audit",
        example="models:/digits@champion --config audit.yaml",
        help="audit one model and record evidence and verdict in MLflow",
        description="Exit code: 0 passed, 1 failed, 2 undecided or could not run.",
    )
    add_model(parser, default="that of the config")
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and how many passes"
    )
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True, goes_on=True)


def run(options: argparse.Namespace) -> int:
    """Audits one model, records the audit in MLflow and prints verdict and conditions.

    Returns the exit code of the verdict; 0 after a dry run, which records nothing. Raises
    AuditError if config, model, data or Prefect server are not as expected.
    """
    from audits import read_config
    from audits.models.snapshot import snapshot
    from audits.workflows.preview import preview
    from flows.terminal.output import say
    from flows.terminal.verdict import say_reason, show_verdict

    named = {} if options.model is None else {"model": options.model}
    config = read_config(options.config, **named)
    if options.dry_run:
        say(preview(config))
        return 0
    with snapshot():  # the registry is asked once
        result = _audited(config, options)
    verdict = result.verdict
    if result.evaluation.refusal:  # then no condition was looked at
        verdict = replace(verdict, judgements=())
    show_verdict(str(result.model), verdict, result.evidence, result.config.baseline)
    for evidence in result.evidence:
        if evidence.status == "not_applicable":
            say(f"{evidence.check} does not apply: {clean(evidence.reason, 1000)}")
    say_run(result.run_id, result.page)
    say_reason(verdict.told, verdict.reason)
    return EXIT[result.verdict.word]


def _audited(config: "AuditConfig", options: argparse.Namespace) -> "AuditResult":
    from audits import run_audit
    from audits.data import sources
    from audits.models import registry
    from audits.workflows.possible import expect_possible
    from audits.workflows.resolved import pinned, with_sample

    if not options.without_prefect:
        # An error is one line here, before a server is started. In a flow Prefect would log a
        # traceback at a configured server. The data are loaded twice for that.
        needed = with_sample(pinned(config))
        model, images = registry.resolve(needed.model), sources.load(needed.data)
        expect_possible(needed, model, images)
    with through_prefect(options) as prefect:
        if prefect:
            from flows.audit import audited

            return audited(config)
        return run_audit(config)
