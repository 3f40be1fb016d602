"""Exit codes, options and texts that several commands share."""

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.terminal import display
from flows.terminal.interrupt import always_raise
from flows.terminal.output import say

if TYPE_CHECKING:
    from audits.workflows.sweep import Wanted

_OPENS = "opening model and data"
EXIT = {"passed": 0, "failed": 1, "undecided": 2}
EMPTY_IS_LEFT_OUT = "--empty-is-left-out"
"""An option of `gate`, with which the MLflow Project gives all options."""


class HelpWithExample(argparse.HelpFormatter):
    """Leaves the lines of an example as they are, so that they can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("example:") else super()._fill_text(text, width, indent)


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the experiment whose audits are read."""
    parser.add_argument(
        "--experiment", default="audits", help="of MLflow, with the audits (default: %(default)s)"
    )


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    help: str,
    example: str,
    description: str | None = None,
) -> argparse.ArgumentParser:
    """Adds a command whose help ends with an example of it, `fillblanks <name> <example>`."""
    return commands.add_parser(
        name,
        help=help,
        description=description or f"{help[0].upper()}{help[1:]}.",
        epilog=f"example:\n  fillblanks {name} {example}".rstrip(),
        formatter_class=HelpWithExample,
    )


def add_model(parser: argparse.ArgumentParser, default: str = "") -> None:
    """Adds the argument that names the model; with a `default`, in words, it may be left out."""
    forms = "models:/name/3, models:/name@alias, models:/name/latest, models:/m-<id>"
    if default:
        parser.add_argument("model", nargs="?", help=f"{forms} (default: {default})")
    else:
        parser.add_argument("model", help=forms)


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose versions of the registry."""
    parser.add_argument("--name", help="only versions of this registered model")
    parser.add_argument("--alias", help="only versions with this alias")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        type=_tag,
        metavar="KEY=VALUE",
        help="only versions with this tag; may be repeated",
    )


def add_without_prefect(parser: argparse.ArgumentParser) -> None:
    """Adds the option that asks for plain functions."""
    parser.add_argument(
        "--without-prefect",
        action="store_true",
        help="audit by plain functions: no Prefect server, no flow runs, the same evidence",
    )


@contextmanager
def through_prefect(options: argparse.Namespace) -> Iterator[bool]:
    """Yields whether the command's audits run as Prefect flows; inside, a server is there for them.

    False with `--without-prefect`, and then Prefect is not imported; also False if no server is
    configured and a temporary one does not start, which the log says. Raises AuditError if a
    configured server does not answer.
    """
    if options.without_prefect:
        always_raise()
        display.begin(_OPENS)
        yield False
        return
    display.begin("loading Prefect and looking for its server")
    from flows.terminal.temporary import prefect_server

    with prefect_server() as there:
        always_raise()
        display.begin(_OPENS)
        yield there


def wanted(options: argparse.Namespace) -> "Wanted":
    """The versions that the options of `add_wanted` choose."""
    from audits.workflows.sweep import Wanted

    return Wanted(options.name, options.alias, dict(options.tag))


def given(text: str) -> str | None:
    """The text, or None if it is empty, which `EMPTY_IS_LEFT_OUT` allows."""
    return text or None


def say_run(run_id: str, page: str) -> None:
    """Says how a person opens a run: its address, and the command that serves it if none does."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    if not uri.startswith(("http", "databricks")):
        command = Path(sys.executable).parent / "mlflow"
        stored = shlex.quote(_without_password(uri))
        say(f"To see the run: {command} ui --backend-store-uri {stored}")
    say(f"Run {run_id} in {where(page)}")


def where(page: str) -> str:
    """The address of `page`, a path below the root of the MLflow UI."""
    import mlflow

    from audits.tracking.audited import UI

    uri = mlflow.get_tracking_uri()
    if uri.startswith("databricks"):  # its pages are at an address that the URI does not name
        return f"{uri}, page {page}"
    root = _without_password(uri.rstrip("/")) if uri.startswith("http") else UI.rstrip("/")
    return f"{root}/{page}"


def _without_password(uri: str) -> str:
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", uri)


def _tag(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key, value
