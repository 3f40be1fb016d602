"""fillblanks gate: decides whether a version may go out."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from flows.commands.common import (
    EMPTY_IS_LEFT_OUT,
    EXIT,
    add_command,
    add_model,
    add_without_prefect,
    given,
    say_run,
    through_prefect,
)
from flows.terminal.output import complain, complain_of_a_crash, say
from flows.terminal.streams import OUT
from flows.terminal.told import told

if TYPE_CHECKING:
    from audits.workflows.gate import Decision


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `gate` and its options."""
    parser = add_command(
        commands,
        "gate",
        example="models:/digits/3 --baseline models:/digits@champion",
        help="decide whether a version may go out, compared with a baseline",
        description="Exit code: 0 passed, 1 failed, 2 undecided or could not run. The last line "
        "on stdout says which condition decided.",
    )
    add_model(parser)
    for name, metavar, said in (
        ("--baseline", "MODEL", "models:/... to compare with"),
        ("--policy", "FILE", "YAML, see `fillblanks policy`; default: the config's own"),
        ("--config", "FILE", "YAML, see schema; default: that of the baseline's audit"),
    ):
        parser.add_argument(name, metavar=metavar, type=given, help=said)
    parser.add_argument(
        "--promote", metavar="ALIAS", type=given, help="move this alias to a version that passed"
    )
    parser.add_argument(
        "--accept-partial",
        action="store_true",
        help="promote also if no condition judged what the model has learnt",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="audit again, whatever audits MLflow has"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FILE",
        help="append Markdown, as $GITHUB_STEP_SUMMARY takes it",
    )
    parser.add_argument(
        EMPTY_IS_LEFT_OUT,
        action="store_true",
        help="an empty option counts as left out: MLflow Projects give all of them",
    )
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True, goes_on=True)


def run(options: argparse.Namespace) -> int:
    """Decides whether a version may go out, and prints the decision in every form asked for.

    Returns the exit code of the verdict. Whatever stands in the way, also a crash, is a decision
    `undecided` with the reason.
    """
    from audits import AuditError
    from audits.errors import one_line
    from audits.workflows.gate import Decision

    summary = None
    try:
        if options.summary:  # a bad path is found before the audit
            summary = _opened(options.summary)
        decision = _decision(options)
    except AuditError as error:
        complain(str(error))
        decision = Decision.impossible(options.model, options.baseline, str(error))
    except Exception as error:
        # The gate has not passed, and says so in every form that was asked for.
        line = told(error)
        if line:
            complain(line)
        else:
            complain_of_a_crash()
        reason = line or f"{type(error).__name__}: {one_line(error)}"
        decision = Decision.impossible(options.model, options.baseline, reason)
    if summary:
        try:
            with summary:  # which writes what is left as it closes
                summary.write(decision.to_markdown())
        except OSError as error:  # the decision is printed all the same
            complain(f"The summary could not be written: {error}")
    try:
        _print(decision, as_json=options.json)
    except OSError as error:  # a full disk, say: the decision is made, and may have moved an alias
        complain(f"The decision could not be printed: {error}")
    if OUT.lost:
        complain(decision.line)
    return EXIT[decision.verdict.word]


def _print(decision: "Decision", *, as_json: bool) -> None:
    from flows.terminal.verdict import say_reason, show_verdict

    if as_json:
        say(json.dumps(decision.to_json()))
        return
    if decision.page:  # else no audit could be made, and the reason says all
        show_verdict(str(decision.model), decision.verdict, decision.evidence, decision.baseline)
        if decision.reused:
            say(f"{decision.model} was audited before; nothing was measured.")
        say_run(decision.run_id, decision.page)
    if decision.promotion:
        say(f"Promoted, {decision.promotion}")
    say_reason(decision.verdict.told, decision.verdict.reason)


def _opened(file: Path) -> TextIO:
    from audits import AuditError

    try:
        return open(file, "a", encoding="utf-8", opener=_at_once)
    except OSError as error:
        raise AuditError(f"Expected a file to write the summary to, got {error}") from error


def _at_once(file: str, flags: int) -> int:
    """Opens a file; a pipe that nobody reads is an error instead of a wait."""
    opened = os.open(file, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(opened, True)
    return opened


def _decision(options: argparse.Namespace) -> "Decision":
    from audits import parse_config
    from audits.config.reading import read_mapping, read_policy
    from audits.models import registry
    from audits.models.snapshot import snapshot
    from audits.workflows.promote import Promotion

    policy = read_policy(options.policy) if options.policy else None
    config = None
    if options.config:
        # Parsed here, since an error is one line, with the file's name; in a flow it would be many.
        typed = {"model": options.model}
        typed |= {"policy": policy.model_dump(mode="json")} if policy else {}
        typed |= {"baseline": options.baseline} if options.baseline else {}
        config = parse_config({**read_mapping(options.config), **typed}, origin=options.config)
    chosen = {
        "baseline": options.baseline,
        "config": config,
        "policy": policy,
        "promote": options.promote,
        "accept_partial": options.accept_partial,
        "fresh": options.fresh,
    }
    with snapshot():  # the registry is asked once
        model = registry.resolve(options.model)  # an error is one line here too
        if options.promote:
            Promotion.planned(model, options.promote)
        with through_prefect(options) as prefect:
            if prefect:
                from flows.gate import gated

                return gated(options.model, **chosen)
            from audits.workflows.gate import gate

            return gate(options.model, **chosen)
