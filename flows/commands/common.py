"""Exit codes, options and texts that several commands share."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.terminal.interrupt import always_raise

if TYPE_CHECKING:
    from audits.workflows.sweep import Wanted

EXIT = {"passed": 0, "failed": 1, "undecided": 2}


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names the model."""
    parser.add_argument(
        "model", help="models:/name/3, models:/name@alias, models:/name/latest, models:/m-<id>"
    )


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
        yield False
        return
    from flows.terminal.temporary import prefect_server

    with prefect_server() as there:
        always_raise()
        yield there


def wanted(options: argparse.Namespace) -> "Wanted":
    """The versions that the options of `add_wanted` choose."""
    from audits.workflows.sweep import Wanted

    return Wanted(options.name, options.alias, dict(options.tag))


def given(text: str) -> str | None:
    """The text, or None if it is empty: MLflow Projects cannot leave an option out."""
    return text or None


def where(page: str) -> str:
    """How a person opens `page`, a path below the root of the MLflow UI."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/{page}"
    mlflow_command = Path(sys.executable).parent / "mlflow"
    return f"{uri}, page {page} of: {mlflow_command} ui --backend-store-uri {uri}"


def _tag(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key, value
