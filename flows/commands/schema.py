"""fillblanks schema: prints the JSON schema of the config."""

import argparse


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `schema`."""
    parser = commands.add_parser("schema", help="print the JSON schema of the config")
    parser.set_defaults(command=run)


def run(_: argparse.Namespace) -> int:
    """Prints the JSON schema of the config; returns 0."""
    import json

    from audits import AuditConfig

    print(json.dumps(AuditConfig.model_json_schema(), indent=2))
    return 0
