"""The answer of an audit as Markdown, for the version's description, the run's note and Prefect.

Names and reasons come from models, configs and files of others, so all of them are shown as text.
"""

import re
from collections.abc import Collection, Sequence
from datetime import date

from audits.errors import one_line, shortened
from audits.report.answer import Row, answer
from audits.report.completed import come_first
from audits.report.strip import is_pictured
from audits.report.text import together
from audits.verdict.isolation import WITHOUT
from audits.verdict.result import AuditResult

REPORT, BASELINE_REPORT = "report.html", "report_baseline.html"
"""The pages of an audit, among the files of its run."""

ROWS = 5  # of the table; more are counted
_PICTURES = "contact_sheet.png"
_SENTENCE, _CELL = 700, 240  # characters; a longer text loses its middle
_CUT = "Texts with ' ... ' in their middle are shortened here, and whole in the report."
_SPACE = "&nbsp;&nbsp;"  # MLflow's tables have no room between their columns
_HEAD = ("condition", "needs", "measured", "null", "outcome")
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#!])")
# Viewers make links of addresses and mentions, also if nobody asks for one.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


_PLAIN = {entity: f"\\{character}" for character, entity in _ENTITIES.items()}
_PLAIN |= {"&#58;": r"\:", "&#46;": r"\.", "&nbsp;": ""}


def first_line(word: str, day: date, sentence: str) -> str:
    """The line that begins the block: "Audit failed, 2026-11-25." and a sentence, as Markdown."""
    return f"Audit {word}, {day.isoformat()}. {text(sentence, _SENTENCE)}"


def block(result: AuditResult, day: date, root: str | None = "", longest: int = 5000) -> str:
    """Word, sentence, table of conditions, pictures and links, in `longest` characters at most.

    `root` is the address of the MLflow UI, with a slash at its end: "" inside MLflow. None if
    nobody knows it; there are no links and no pictures then. What has no room is left out from the
    end on, and the first line stays.
    """
    found = answer(result.verdict, result.evidence)
    without = [WITHOUT] if result.config.isolation == "none" else []
    parts = [*without, found.sentence, *filter(None, [found.note]), *result.evaluation.skipped]
    told = found.sentence  # the reason of a verdict has the others already
    sentence = " ".join(one for one in parts if one is told or one not in told)
    pictured = is_pictured(result.evidence)
    kept = [first_line(found.word, day, sentence)]
    files = {REPORT} | ({BASELINE_REPORT} if result.baseline else set())
    files |= {_PICTURES} if pictured else set()
    to_files = links(root, result.page, files) if root is not None else ""
    picture = ""
    if root is not None and pictured:
        address = f"{root}get-artifact?path=strip.png&run_uuid={result.run_id}"
        # MLflow would show the picture close to the table.
        picture = f"&nbsp;\n\n![{_strip_told(result)}]({address})"
    # In order of worth; on the page they stand in the order of the last line.
    room = longest - len(kept[0])
    chosen = {}
    for name, part in (("links", to_files), ("table", table(found.rows)), ("picture", picture)):
        if part and len(part) + 2 <= room:
            chosen[name] = part
            room -= len(part) + 2
    kept += [chosen[name] for name in ("table", "picture", "links") if name in chosen]
    return "\n\n".join(kept)


def _strip_told(result: AuditResult) -> str:
    if come_first(result.evidence):
        return "An image, its blanks, and how the model fills them for two classes"
    return "Classes with what the model draws for them, the worst first"


def common_mark(markdown: str) -> str:
    """A block for viewers that show entities of HTML as they are written, as Prefect's does.

    MLflow's viewer knows these entities, but not all escapes of CommonMark.
    """
    return re.sub("|".join(_PLAIN), lambda found: _PLAIN[found[0]], markdown)


def table(rows: Sequence[Row], most: int = ROWS, longest: int = _CELL) -> str:
    """A table of the first `most` conditions and the number of the others; empty without any.

    A cell has `longest` characters at most, and a line below the table says so if one has more.
    """
    if not rows:
        return ""
    lines = [f"| {' | '.join(one + _SPACE for one in _HEAD)} |", f"|{' :-- |' * len(_HEAD)}"]
    cut = False
    for row in rows[:most]:
        waiver = row.judgement.waiver
        told = f"{row.told}: {waiver.reason}" if waiver else row.told
        cells = (row.title, row.needs, row.measured, row.against or "-", told)
        lines.append(f"| {' | '.join(_cell(cell, longest) for cell in cells)} |")
        cut = cut or any(len(one_line(cell)) > longest for cell in cells)
    more = len(rows) - most
    if more > 0:
        told = f"And {more} more condition{'' if more == 1 else 's'}, in the report."
        lines += ["", told]
    if cut:
        lines += ["", _CUT]
    return "\n".join(lines)


def text(words: str, longest: int) -> str:
    """Text that Markdown and HTML show as it is, on one line, in a table's cell as well.

    A text of more than `longest` characters loses its middle.
    """
    line = _SPECIAL.sub(r"\\\1", shortened(words, longest))
    line = "".join(_ENTITIES.get(character, character) for character in line)
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", line.replace(":/", "&#58;/"))


def links(root: str, page: str, files: Collection[str]) -> str:
    """Links to the run and to those of its files that people look at, on one line.

    `page` is the run's, below `root`, the address of the MLflow UI.
    """
    shown = {REPORT: "Report", BASELINE_REPORT: "Report of the baseline", _PICTURES: "Pictures"}
    places = [(told, f"{root}{page}/artifacts/{n}") for n, told in shown.items() if n in files]
    places.append(("Run", f"{root}{page}"))
    return " · ".join(f"[{title}]({address})" for title, address in places)


def _cell(words: str, longest: int) -> str:
    return together(text(words, longest)) + _SPACE
