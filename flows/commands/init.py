"""fillblanks init: writes a config that suits a model and its data."""

import argparse
import shlex
from pathlib import Path

from flows.commands.common import EXIT, add_command, add_model
from flows.terminal.output import complain, say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `init` and its options."""
    parser = add_command(
        commands,
        "init",
        example="models:/digits@champion --data photos/ --minutes 10",
        help="write a config for a model and a data set",
        description="Opens and times the model, tries likely ways of feeding it, and writes a "
        "config with comments. Nothing is recorded. Exit code: 0 written; 2 if the model could not "
        "be opened, or nothing was written.",
    )
    add_model(parser)
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="a folder of images, or .npz, .csv, .parquet; a path or a URI",
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=10.0,
        help="time that the audit may take (default: %(default)g)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("audit.yaml"),
        metavar="FILE",
        help="where to write (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Writes a config; returns 0, or 2 if the model could not be opened.

    Raises AuditError if the file is there already, and if model or data are not found.
    """
    from audits import AuditError
    from audits.workflows.scaffold import scaffold

    output: Path = options.output
    if output.exists() and not options.force:
        raise AuditError(f"Expected no file at {output}, found one. Give --force to replace it.")
    text, refusal = scaffold(options.model, options.data, options.minutes)
    try:
        with output.open("w" if options.force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise AuditError(f"Expected a place to write {output} to, got {error}") from error
    say(f"Written to {output}. Read it, then run:")
    say(shlex.join(["fillblanks", "audit", options.model, "--config", str(output), "--dry-run"]))
    if refusal:
        complain(f"The model could not be opened: {refusal}")
        return EXIT["undecided"]
    return 0


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text!r}")
    return minutes
