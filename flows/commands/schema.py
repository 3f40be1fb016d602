"""fillblanks schema: prints the JSON schema of the config."""

import argparse

from flows.commands.common import add_command
from flows.terminal.output import say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `schema`."""
    parser = add_command(
        commands, "schema", help="print the JSON schema of the config", example="> schema.json"
    )
    parser.set_defaults(command=run)


def run(_: argparse.Namespace) -> int:
    """Prints the JSON schema of the config; returns 0."""
    import json

    from audits import AuditConfig

    say(json.dumps(AuditConfig.model_json_schema(), indent=2))
    return 0
