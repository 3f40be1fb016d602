"""What several commands share: exit codes, options, where a run is shown."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audits.workflows.sweep import Wanted

EXIT = {"passed": 0, "failed": 1, "undecided": 2}


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", help="models:/name/3, models:/name@alias, models:/name/latest, models:/m-<id>"
    )


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Options that say which versions of the registry are meant."""
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


def wanted(options: argparse.Namespace) -> "Wanted":
    from audits.workflows.sweep import Wanted

    return Wanted(options.name, options.alias, dict(options.tag))


def given(text: str) -> str | None:
    """The text, or None where it is empty: MLflow Projects cannot leave an option out."""
    return text or None


def where(page: str) -> str:
    """How to see a page of the MLflow UI."""
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
