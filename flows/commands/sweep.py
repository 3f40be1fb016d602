"""fillblanks sweep: audits every version that is due."""

import argparse
from typing import TYPE_CHECKING

from flows.commands.common import EXIT, add_wanted, add_without_prefect, through_prefect, wanted

if TYPE_CHECKING:
    from audits import AuditConfig
    from audits.workflows.candidates import Candidates


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `sweep` and its options."""
    parser = commands.add_parser(
        "sweep",
        help="audit every version of the registry that is due",
        description="Due is a version without a verified audit of today's digest. Exit code: 0 all "
        "passed, or nothing to audit; 1 any failed; 2 any undecided, refused or broken off.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    add_wanted(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which versions are due and why")
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True)


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
    from flows.terminal.console import show_progress

    which, values = wanted(options), read_mapping(options.config)
    named = which.name is not None
    found = versions(which)
    config = sweep_config(values, found, origin=options.config)
    if options.dry_run:
        return _dry_run(config, candidates(found, config, named=named))
    expect_place(config)  # else every version would say so
    progress = show_progress()
    with through_prefect(options) as prefect:
        if prefect:
            from flows.sweep import swept

            summary = swept(values, which)
        else:
            from audits.workflows.sweep_summary import audit_due

            summary = audit_due(config, candidates(found, config, named=named))
    progress.done()
    for row in summary.rows:
        print(f"{row.model}: {row.done}, {row.verdict}. {row.why}")
    print(summary)
    return EXIT["passed"] if summary.word == NOTHING else EXIT[summary.word]


def _dry_run(config: "AuditConfig", found: "Candidates") -> int:
    from mlflow.exceptions import MlflowException

    from audits import AuditError
    from audits.workflows.freshness import Lookout
    from audits.workflows.sweep_summary import nothing_told

    lookout = Lookout(config)
    code = 0
    for one in found.rows:
        try:
            if one.unread:
                raise AuditError(one.unread)
            if one.refused:
                print(f"{one.uri}: refused, {one.refused}")
                code = EXIT["undecided"]
                continue
            standing, why, _ = lookout.look_at(one.model, one.tags)
        except (AuditError, MlflowException, OSError) as error:  # the others can be looked at
            print(f"{one.uri}: not known, {' '.join(str(error).split())}")
            code = EXIT["undecided"]
        else:
            print(f"{one.uri}: {'due' if standing is None else 'not due'}, {why}")
    if not found.rows:
        print(nothing_told(found.left_alone))
    elif found.told:
        print(found.told)
    return code
