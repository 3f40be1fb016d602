"""fillblanks sweep: audit every version that is due."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.commands.common import EXIT, add_wanted, wanted

if TYPE_CHECKING:
    from audits import AuditConfig


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "sweep",
        help="audit every version of the registry that is due",
        description="Due is a version without a verified audit of today's digest. Exit code: 0 all "
        "passed, 1 any failed, 2 any undecided or broken off.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    add_wanted(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which versions are due and why")
    parser.set_defaults(command=run, runs_flows=True)


def run(options: argparse.Namespace) -> int:
    from audits.config.reading import read_mapping
    from audits.workflows.sweep import sweep_config, versions
    from flows.console import show_progress

    which, values = wanted(options), read_mapping(options.config)
    uris = versions(which)
    config = sweep_config(values, uris, origin=options.config)
    if options.dry_run:
        return _dry_run(config, uris)
    from flows.sweep import swept

    progress = show_progress()
    summary = swept(values, which)
    progress.done()
    for row in summary.rows:
        print(f"{row.model}: {row.done}, {row.verdict}. {row.why}")
    print(summary)
    return EXIT[summary.word]


def _dry_run(config: "AuditConfig", uris: Sequence[str]) -> int:
    from mlflow.exceptions import MlflowException

    from audits import AuditError
    from audits.workflows.freshness import Lookout

    lookout = Lookout(config)
    code = 0
    for uri in uris:
        try:
            found, why = lookout.look(uri)
        except (AuditError, MlflowException, OSError) as error:  # the others can be looked at
            print(f"{uri}: not known, {' '.join(str(error).split())}")
            code = EXIT["undecided"]
        else:
            print(f"{uri}: {'due' if found is None else 'not due'}, {why}")
    return code
