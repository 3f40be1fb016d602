"""fillblanks schema: what a config may say."""

import argparse


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("schema", help="print the JSON schema of the config")
    parser.set_defaults(command=run)


def run(_: argparse.Namespace) -> int:
    import json

    from audits import AuditConfig

    print(json.dumps(AuditConfig.model_json_schema(), indent=2))
    return 0
