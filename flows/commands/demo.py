"""fillblanks demo: trains two versions of a model and audits both."""

import argparse
from pathlib import Path

from flows.commands.common import add_command, add_without_prefect, through_prefect


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `demo` and its options."""
    parser = add_command(
        commands,
        "demo",
        help="train two versions of a model and audit both",
        example="--folder fillblanks-demo",
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where everything goes; delete it when done"
    )
    parser.add_argument("--seed", type=int, default=0, help="of training (default: %(default)s)")
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True, goes_on=True)


def run(options: argparse.Namespace) -> int:
    """Trains and audits two versions of a model in one folder; returns 0, whatever the verdicts.

    Raises AuditError if a configured Prefect server does not answer.
    """
    from audits import run_audit
    from flows.demo.story import demo

    with through_prefect(options) as prefect:
        if prefect:
            from flows.audit import audited

            demo(options.folder, options.seed, audit=audited)
        else:
            demo(options.folder, options.seed, audit=run_audit)
    return 0
