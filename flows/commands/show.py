"""fillblanks show: writes the report of an audit, or an index page of the registry, to a file."""

import argparse
import tempfile
from pathlib import Path

from flows.commands.common import add_command, add_experiment
from flows.terminal.output import say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `show` and its options."""
    parser = add_command(
        commands,
        "show",
        help="write the report of an audit, or of a whole registry, to a file",
        example="models:/digits/2 --output report.html",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "audit", nargs="?", help="models:/..., for the standing audit of a model, or a run id"
    )
    what.add_argument(
        "--sweep", action="store_true", help="an index page of all models of the registry"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the page goes (default: a new temporary folder)",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    add_experiment(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Writes the page, and a page of the audit's baseline, and prints their paths; returns 0.

    Raises AuditError if the audit is not found or cannot be verified, or a file not be written.
    """
    from audits.errors import AuditError
    from audits.workflows.show import index_of_registry, reports_of

    path: Path | None = options.output
    if path is not None and not options.force:
        _expect_none(path)
    name = path.name if path is not None else "report.html"
    baseline = f"{Path(name).stem}_baseline{Path(name).suffix}"
    if options.sweep:
        pages = {name: index_of_registry(options.experiment)}
    else:
        pages = reports_of(options.audit, name, baseline, options.experiment)
    folder = path.parent if path is not None else Path(tempfile.mkdtemp(prefix="fillblanks-"))
    if not options.force:
        for file in pages:
            _expect_none(folder / file)
    for file, page in pages.items():
        try:
            (folder / file).write_text(page, encoding="utf-8")
        except OSError as error:
            raise AuditError(
                f"Expected to write {folder / file}, got {error.strerror}. Give another --output."
            ) from error
        say(str((folder / file).resolve()))
    return 0


def _expect_none(file: Path) -> None:
    from audits.errors import AuditError

    if file.exists():
        raise AuditError(f"Expected no file at {file}, found one. Give --force to replace it.")
