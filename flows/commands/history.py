"""fillblanks history: lists the audits of one model."""

import argparse
import json
from typing import TYPE_CHECKING

from flows.commands.common import add_command, add_experiment
from flows.terminal.output import complain, say, show, table
from flows.terminal.text import clean

if TYPE_CHECKING:
    from rich.text import Text

    from audits.tracking.history import Entry

_NEWEST = 100  # audits
_MOST = 10**6
_LONGEST = 200  # characters of a reason; `--json` has all


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `history` and its options."""
    parser = add_command(
        commands, "history", help="list the audits of a registered model", example="digits"
    )
    parser.add_argument("name", help="of the registered model")
    parser.add_argument(
        "--last",
        type=_count,
        metavar="N",
        help=f"list the newest N audits (default: {_NEWEST}; with --json all)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON an audit")
    add_experiment(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints the audits of a registered model, newest first; returns 0.

    Raises AuditError if the model or the registry is not found.
    """
    from audits.tracking.history import history

    last = options.last if options.last or options.json else _NEWEST
    found = history(options.name, options.experiment, last and last + 1)
    entries = found[:last]
    if options.json:
        for entry in entries:
            say(json.dumps(entry.to_json()))
    else:
        show(table(("began (UTC)", "version", "verdict", "run, reason"), list(map(_row, entries))))
    if len(found) > len(entries):
        complain(f"The newest {last} audits are listed; --last N lists the newest N.")
    return 0


def _count(text: str) -> int:
    """A number of audits, as argparse converts an argument."""
    if not text.isdecimal() or not 0 < int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"expected 1 to {_MOST:,} audits, got {text!r}")
    return int(text)


def _row(entry: "Entry") -> "tuple[str, str, Text, Text]":
    from rich.text import Text

    from flows.terminal.verdict import word

    began = entry.began_at.replace("T", " ")[:16]  # to the minute
    aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
    last = Text(f"{entry.run_id}\n{clean(entry.reason, _LONGEST)}".rstrip())
    return began, f"v{entry.version}{aliases}", word(entry.told), last
