"""The command line. It imports torch, MLflow and Prefect only where a command needs them."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from flows.commands import (
    audit,
    compare,
    demo,
    gate,
    history,
    policy,
    prune,
    schema,
    serve,
    sweep,
)
from flows.commands.common import EXIT
from flows.environment import quieten
from flows.watch import watch

_COMMANDS = (audit, gate, policy, sweep, serve, history, compare, prune, schema, demo)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 passed, 1 failed, 2 undecided or bad input."""
    options = _parser().parse_args(arguments)
    # All that the demo writes goes to the one folder, Prefect's files included.
    folder: Path | None = getattr(options, "folder", None)
    try:
        quieten(prefect_home=folder / "prefect" if folder else None)
        if getattr(options, "runs_flows", False):
            watch()
    except Exception:
        traceback.print_exc()
        return EXIT["undecided"]
    try:
        import audits
    except ImportError as error:
        print(
            f"fillblanks needs {error.name} here: pip install 'fillblanks[audit]'", file=sys.stderr
        )
        return EXIT["undecided"]
    try:
        result: int = options.command(options)
    except audits.AuditError as error:
        print(error, file=sys.stderr)
        return EXIT["undecided"]
    except Exception:
        # Python's own exit code would be 1, which means that the model failed.
        traceback.print_exc()
        return EXIT["undecided"]
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fillblanks",
        description="Audits image classifiers in an MLflow registry by asking them to fill in the "
        "blanks. The registry is the one that MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
