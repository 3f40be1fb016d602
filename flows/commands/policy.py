"""fillblanks policy: prints a policy to start from."""

import argparse

from flows.commands.common import add_command, add_experiment
from flows.terminal.output import say_as_it_is


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `policy` and its options."""
    parser = add_command(
        commands,
        "policy",
        example="--from models:/digits@champion > policy.yaml",
        help="print a policy, written from the audit of an accepted version",
        description="The margins come from the intervals of that audit. Read it, then keep it with "
        "your code.",
    )
    parser.add_argument(
        "--from", dest="accepted", required=True, metavar="MODEL", help="models:/name@alias, ..."
    )
    add_experiment(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints a policy in YAML, written from the standing audit of a version; returns 0.

    Raises AuditError if the version has no verified audit, or failed.
    """
    from audits.workflows.policy import policy_of

    say_as_it_is(policy_of(options.accepted, options.experiment))
    return 0
