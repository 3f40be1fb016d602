"""The answer of an audit in a terminal: its word, its sentence, and a table of the conditions."""

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from flows.terminal.output import say, show, table, width
from flows.terminal.streams import OUT
from flows.terminal.text import clean, titled

if TYPE_CHECKING:
    from audits.evidence.evidence import Evidence
    from audits.report.answer import Row
    from audits.verdict.decide import Verdict

_STYLES = {"passed": "bold green", "failed": "bold red", "undecided": "bold yellow"}
_BESIDE, _LEAST = 45, 24  # columns beside names and ids of conditions, and the least for these
_LINES = 4  # of a terminal, that a reason takes at most


def word(told: str) -> Text:
    """A verdict in its colour: "FAILED", "PASSED, in part", "UNDECIDED"; others as they are."""
    head, comma, rest = clean(told, 60).partition(",")
    style = _STYLES.get(head)
    return Text(f"{head.upper() if style else head}{comma}{rest}", style=style or "")


def show_verdict(
    model: str, verdict: "Verdict", evidence: "Sequence[Evidence]", baseline: str | None = None
) -> None:
    """Prints word, sentence and conditions of an audit.

    `baseline` is the URI of the model that it was compared with. What a row of the table cannot
    hold, why a condition was not judged and why it was waived, stands below the table. The words
    that `say_reason` prints, which comes last, are left out here.
    """
    from audits.report.answer import answer

    given, last = answer(verdict, evidence), _reason(verdict.told, verdict.reason)
    show(Text.assemble(f"{clean(model, 80)}: ", word(given.word)))
    if (sentence := clean(given.sentence, 2000)) not in last:
        show(Text(sentence))
    if given.note:
        show(Text(clean(given.note, 1000)))
    if baseline is not None:
        show(Text(_compared(model, evidence, baseline)))
    if given.rows:
        headings = ("condition", "needs", "measured", "outcome")
        say()
        show(table(headings, [_cells(row) for row in given.rows], whole=["condition"]))
        say()
    for row in given.rows:
        told = clean(row.judgement, 1000)
        if row.outcome not in ("passed", "failed") and told not in last:
            show(Text(f"  {told}"))


def say_reason(told: str, reason: str) -> None:
    """Prints the reason of a verdict in one line; on a terminal, a long one loses its middle."""
    say(_reason(told, reason))


def _reason(told: str, reason: str) -> str:
    longest = _LINES * width() if OUT.isatty() else 100_000
    return clean(f"{told}: {reason}", longest)


def _compared(model: str, evidence: "Sequence[Evidence]", baseline: str) -> str:
    drops = (metric.drop for one in evidence for metric in one.metrics.values())
    was = "is" if any(drop is not None for drop in drops) else "could not be"
    return f"{clean(model, 80)} {was} compared with {titled(baseline)}."


def _cells(row: "Row") -> tuple[Text, Text, Text, Text]:
    room = max(_LEAST, width() - _BESIDE)
    metric = "\n".join(_broken(clean(row.judgement.condition.judged_metric, 120), room))
    title = textwrap.fill(clean(row.title, 120), room)
    # The finding of a condition without a figure stands below the table.
    measured = clean(row.measured, 80) if row.estimate is not None else "no figure"
    style = {"passed": "green", "failed": "bold red"}.get(row.outcome, "yellow")
    return (
        Text.assemble(title, "\n", (metric, "dim")),
        # In two lines, to leave room for the name of the condition.
        Text(row.needs.replace("at least ", "at least\n").replace("at most ", "at most\n")),
        Text(measured.replace(" (", "\n").rstrip(")")),
        Text(clean(row.told, 60), style=style),
    )


def _broken(metric: str, room: int) -> list[str]:
    """The id in lines of at most `room` characters, broken behind "/", else behind "_"."""
    lines = [""]
    check, slash, name = metric.partition("/")
    whole = len(metric) <= room
    for part in [metric] if whole else [f"{check}{slash}", *re.findall(r"[^_]*_|[^_]+", name)]:
        if len(lines[-1]) + len(part) > room or lines[-1].endswith("/"):
            lines.append("")
        lines[-1] += part
    pieces = (line[at : at + room] for line in lines if line for at in range(0, len(line), room))
    return list(pieces)
