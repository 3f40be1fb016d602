"""fillblanks prune: deletes old units from the local store."""

import argparse
from pathlib import Path

from flows.commands.common import add_command
from flows.terminal.output import say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `prune` and its options."""
    parser = add_command(
        commands,
        "prune",
        example="--days 30 --dry-run",
        help="delete finished units that no audit has used for a while",
        description="An audit that needs them again measures them again; MLflow is not touched.",
    )
    parser.add_argument(
        "--days", type=_days, default=90.0, help="unused for so long (default: %(default)g)"
    )
    parser.add_argument("--store", metavar="FOLDER", help="default: the cache folder")
    parser.add_argument("--dry-run", action="store_true", help="say what would be deleted")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Deletes finished units from the store and prints how many; returns 0.

    Raises AuditError if there is no store.
    """
    from audits import AuditError
    from audits.execution.store import Store, default_folder

    folder = options.store or default_folder()
    if "://" not in folder and not (Path(folder) / "parts").is_dir():
        raise AuditError(f"Expected a store at {folder}, found none.")
    store = Store(folder)
    old, kept = store.prune(options.days * 86_400, dry_run=options.dry_run)
    done = "would be deleted" if options.dry_run else "deleted"
    say(f"In {store.folder}:\n  {old} {done}\n  {kept} kept")
    return 0


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"expected 0 days or more, got {text}")
    return days
