"""fillblanks sweep: audits every version that is due."""

import argparse
from typing import TYPE_CHECKING

from flows.commands.common import (
    EXIT,
    add_command,
    add_wanted,
    add_without_prefect,
    through_prefect,
    wanted,
)
from flows.terminal.output import say, show, table
from flows.terminal.text import clean

if TYPE_CHECKING:
    from audits import AuditConfig
    from audits.workflows.candidates import Candidates


_LONGEST = 400  # characters of a reason


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `sweep` and its options."""
    parser = add_command(
        commands,
        "sweep",
        example="--config audit.yaml --name digits --dry-run",
        help="audit every version of the registry that is due",
        description="Due is a version without a verified audit of today's digest. Exit code: 0 all "
        "passed, or nothing to audit; 1 any failed; 2 any undecided, refused or broken off.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    add_wanted(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which versions are due and why")
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True, goes_on=True)


def run(options: argparse.Namespace) -> int:
    """Audits every version that is due, and prints a line for each version and a summary.

    Returns the exit code of the worst verdict, new or standing. A dry run only says which versions
    are due, and returns 2 if that is not known of all, or if any would be refused. Raises
    AuditError if the config is bad, no version is found, or a configured Prefect server does not
    answer.
    """
    from audits.config.reading import read_mapping
    from audits.workflows.candidates import candidates
    from audits.workflows.possible import expect_place
    from audits.workflows.sweep import sweep_config, versions
    from audits.workflows.sweep_summary import NOTHING
    from flows.terminal.verdict import word

    which, values = wanted(options), read_mapping(options.config)
    named = which.name is not None
    found = versions(which)
    config = sweep_config(values, found, origin=options.config)
    if options.dry_run:
        return _dry_run(config, candidates(found, config, named=named))
    expect_place(config)  # else every version would say so
    with through_prefect(options) as prefect:
        if prefect:
            from flows.sweep import swept

            summary = swept(values, which)
        else:
            from audits.workflows.sweep_summary import audit_due

            summary = audit_due(config, candidates(found, config, named=named))
    if summary.rows:
        rows = [(r.model, word(r.verdict), r.done, clean(r.why, _LONGEST)) for r in summary.rows]
        show(table(("version", "verdict", "", "why"), rows))
    say(str(summary))
    return EXIT["passed"] if summary.word == NOTHING else EXIT[summary.word]


def _dry_run(config: "AuditConfig", found: "Candidates") -> int:
    from mlflow.exceptions import MlflowException

    from audits import AuditError
    from audits.workflows.freshness import Lookout
    from audits.workflows.sweep_summary import nothing_told

    lookout = Lookout(config)
    code = 0
    rows = []
    for one in found.rows:
        try:
            if one.unread:
                raise AuditError(one.unread)
            if one.refused:
                rows.append((one.uri, "refused", clean(one.refused, _LONGEST)))
                code = EXIT["undecided"]
                continue
            standing, why, _ = lookout.look_at(one.model, one.tags)
        except (AuditError, MlflowException, OSError) as error:  # the others can be looked at
            rows.append((one.uri, "not known", clean(error, _LONGEST)))
            code = EXIT["undecided"]
        else:
            due = "due" if standing is None else "not due"
            rows.append((one.uri, due, clean(why, _LONGEST)))
    if rows:
        show(table(("version", "", "why"), rows))
    if not found.rows:
        say(nothing_told(found.left_alone))
    elif found.told:
        say(found.told)
    return code
