"""fillblanks history: lists the audits of one model."""

import argparse
import json


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `history` and its options."""
    parser = commands.add_parser("history", help="list the audits of a registered model")
    parser.add_argument("name", help="of the registered model")
    parser.add_argument("--json", action="store_true", help="print one line of JSON an audit")
    parser.add_argument(
        "--experiment", default="audits", help="of MLflow, with the audits (default: %(default)s)"
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints the audits of a registered model, newest first; returns 0.

    Raises AuditError if the model or the registry is not found.
    """
    from audits.tracking.history import history

    for entry in history(options.name, options.experiment):
        if options.json:
            print(json.dumps(entry.to_json()))
            continue
        aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
        print(f"{entry.began_at}  v{entry.version}{aliases}: {entry.told}  run {entry.run_id}")
        if entry.reason:
            print(f"    {entry.reason}")
    return 0
