"""The command line. It imports torch, MLflow and Prefect only if a command needs them."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from audits.errors import AuditError
from flows.commands import (
    audit,
    compare,
    convert,
    demo,
    gate,
    history,
    init,
    policy,
    prune,
    schema,
    serve,
    sweep,
)
from flows.commands.common import EXIT
from flows.terminal.environment import quieten
from flows.terminal.interrupt import at_once_in_imports, leave
from flows.terminal.told import told
from flows.terminal.watch import watch

_COMMANDS = (
    init,
    audit,
    gate,
    policy,
    convert,
    sweep,
    serve,
    history,
    compare,
    prune,
    schema,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 passed, 1 failed, 2 undecided or bad input.

    Ctrl-C ends the process with exit code 130. Errors are printed to stderr, none is raised.
    """
    options = _parser().parse_args(arguments)
    try:
        with at_once_in_imports():
            return _run(options)
    except KeyboardInterrupt:
        # By now the MLflow run is closed and the model's process has ended.
        leave()


def _run(options: argparse.Namespace) -> int:
    # The demo writes to its one folder only, Prefect's files included.
    folder: Path | None = getattr(options, "folder", None)
    plain = getattr(options, "without_prefect", False)
    try:
        quieten(prefect_home=folder / "prefect" if folder and not plain else None)
        if getattr(options, "runs_flows", False):
            watch()
        result: int = options.command(options)
        return result
    except AuditError as error:
        print(error, file=sys.stderr)
    except ModuleNotFoundError as error:
        if _is_ours(error.name):
            traceback.print_exc()
        else:
            print(
                f"Expected the package {error.name} to be installed, found none. Run "
                "pip install 'fillblanks[audit]'.",
                file=sys.stderr,
            )
    except Exception as error:
        # Python's own exit code would be 1, which means that the model failed.
        if line := told(error):
            print(line, file=sys.stderr)
        else:
            traceback.print_exc()
    return EXIT["undecided"]


def _is_ours(module: str | None) -> bool:
    return module is None or module.split(".")[0] in ("fillblanks", "audits", "flows")


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
