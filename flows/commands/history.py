"""fillblanks history: lists the audits of one model."""

import argparse
import json
from typing import TYPE_CHECKING

from flows.commands.common import add_command, add_experiment
from flows.terminal.output import say, show, table
from flows.terminal.text import clean

if TYPE_CHECKING:
    from rich.text import Text

    from audits.tracking.history import Entry

_LONGEST = 200  # characters of a reason; `--json` has all


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `history` and its options."""
    parser = add_command(
        commands, "history", help="list the audits of a registered model", example="digits"
    )
    parser.add_argument("name", help="of the registered model")
    parser.add_argument("--json", action="store_true", help="print one line of JSON an audit")
    add_experiment(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints the audits of a registered model, newest first; returns 0.

    Raises AuditError if the model or the registry is not found.
    """
    from audits.tracking.history import history

    entries = history(options.name, options.experiment)
    if options.json:
        for entry in entries:
            say(json.dumps(entry.to_json()))
    else:
        show(table(("began (UTC)", "version", "verdict", "run, reason"), list(map(_row, entries))))
    return 0


def _row(entry: "Entry") -> "tuple[str, str, Text, Text]":
    from rich.text import Text

    from flows.terminal.verdict import word

    began = entry.began_at.replace("T", " ")[:16]  # to the minute
    aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
    last = Text(f"{entry.run_id}\n{clean(entry.reason, _LONGEST)}".rstrip())
    return began, f"v{entry.version}{aliases}", word(entry.told), last
