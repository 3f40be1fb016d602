"""The command line. It imports torch, MLflow and Prefect only if a command needs them."""

import argparse
import shlex
import sys
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
    show,
    sweep,
)
from flows.commands.common import EMPTY_IS_LEFT_OUT, EXIT, HelpWithExample
from flows.terminal.console import progress_shown
from flows.terminal.environment import quieten
from flows.terminal.interrupt import at_once_in_imports, leave
from flows.terminal.output import complain, complain_of_a_crash
from flows.terminal.streams import ERR, OUT
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
    show,
    prune,
    schema,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 passed, 1 failed, 2 undecided or bad input.

    Ctrl-C ends the process with exit code 130. Errors are printed to stderr, none is raised.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if line := _empty_value(given):
            complain(line)
            return EXIT["undecided"]
        options = _parser().parse_args(given)
        typed = shlex.join(["fillblanks", *given]) if hasattr(options, "goes_on") else ""
        with at_once_in_imports(typed):
            return _run(options)
    except KeyboardInterrupt:
        # By now the MLflow run is closed and the model's process has ended.
        leave()
    finally:
        OUT.flush()  # help was printed by argparse; its reader may have ended
        ERR.flush()


def _empty_value(given: Sequence[str]) -> str:
    """What is wrong with an empty argument, as of a variable that was not set; else empty.

    Without its filter a sweep would look at all models, and a gate without its policy at another.
    """
    before = ""
    for one in given if EMPTY_IS_LEFT_OUT not in given else ():
        option, sign, value = one.partition("=")
        own = one.startswith("--") and bool(sign)  # an option with its value
        if value.strip() in ("", "--") if own else not one.strip():
            named = option if own else before
            place = f"for {named}" if named.startswith("-") else "for each argument"
            return f"Expected a value {place}, got an empty one. Is a variable not set?"
        before = one
    return ""


def _run(options: argparse.Namespace) -> int:
    # The demo writes to its one folder only, Prefect's files included.
    folder: Path | None = getattr(options, "folder", None)
    plain = getattr(options, "without_prefect", False)
    try:
        quieten(prefect_home=folder / "prefect" if folder and not plain else None)
        flows = getattr(options, "runs_flows", False)
        if flows:
            watch()
        with progress_shown("loading", lines=flows):
            result: int = options.command(options)
            return result
    except AuditError as error:
        complain(str(error))
    except ModuleNotFoundError as error:
        if _is_ours(error.name):
            complain_of_a_crash()
        else:
            complain(
                f"Expected the package {error.name} to be installed, found none. Run "
                "pip install 'fillblanks[audit]'."
            )
    except Exception as error:
        # Python's own exit code would be 1, which means that the model failed.
        if line := told(error):
            complain(line)
        else:
            complain_of_a_crash()
    return EXIT["undecided"]


def _is_ours(module: str | None) -> bool:
    return module is None or module.split(".")[0] in ("fillblanks", "audits", "flows")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fillblanks",
        description="Audits image classifiers in an MLflow registry by asking them to fill in the "
        "blanks. The registry is the one that MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name.",
        epilog="example:\n  fillblanks audit models:/digits@champion --config audit.yaml",
        formatter_class=HelpWithExample,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
