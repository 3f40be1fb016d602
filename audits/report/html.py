"""report.html: the whole audit on one self-contained page."""

import base64
import hashlib
import math
import re
import shlex
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from audits.errors import few
from audits.evidence.evidence import Evidence
from audits.report.answer import Row, answer, title_of
from audits.report.audited import Audited
from audits.report.beside import beside
from audits.report.classes import class_table, columns
from audits.report.completed_tiles import first_images
from audits.report.confusion import matrices
from audits.report.pictures import Tile, shown, tile
from audits.report.readings import class_name
from audits.report.reasons import reasons
from audits.report.sections import section
from audits.report.strips import WIDTH, Strip, strip
from audits.report.text import finalized, middle, together
from audits.verdict.decide import Verdict

_LINES_FIRST = 13  # of conditions on the first screen
_LINES_BEFORE_FOLD = 9  # if there is no room for all; the other conditions are folded, with a line
_LINE = 40  # characters
_VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'
_ELEMENT = re.compile(r"<([a-zA-Z][^\s/>]*)")
# Those of the templates. The policy keeps these from connecting, but not an iframe, or a link
# element. Another meta element could send the reader elsewhere.
_ELEMENTS = frozenset(
    (
        *("html", "head", "title", "style", "script", "meta", "body", "header", "main", "section"),
        *("h1", "h2", "h3", "p", "div", "span", "a", "b", "bdi", "small", "br", "code", "pre"),
        *("ul", "li", "details", "summary", "figure", "figcaption", "img"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("svg", "g", "path", "line", "polyline", "circle", "rect", "text"),
    )
)
_SENTENCE = 400  # characters on the first screen; the whole reason stands below


def report(audited: Audited, verdict: Verdict, evidence: Sequence[Evidence]) -> str:
    """The page as HTML: pictures are inside, nothing is loaded, and it reads well without scripts.

    Its content security policy forbids all scripts but the page's own, which sorts tables and says
    how links open.
    """
    found = answer(verdict, evidence)
    judged = {row.judgement.condition.metric for row in found.rows}
    checks = {check.name: check for check in audited.checks}
    numbers = {e.check: number for number, e in enumerate(evidence, 1)}
    rows = [
        _Condition(row, _title(row), strip(row), _beside(row), numbers.get(_check(row)))
        for row in found.rows
    ]
    return page(
        "report.html",
        audited=audited,
        answer=found,
        sentence=together(middle(found.sentence, _SENTENCE)),
        cut=len(found.sentence) > _SENTENCE,
        verdict=verdict,
        reasons=reasons(verdict, found),
        conditions=rows[: (first := _fitting(rows))],
        more_conditions=rows[first:],
        images=first_images(evidence, audited.classes),
        columns=columns(evidence, audited.classes),
        classes=class_table(evidence, audited.classes),
        matrices=matrices(evidence, audited.classes),
        prototypes=_prototypes(evidence, audited.classes),
        beside=beside(evidence, audited.classes, audited.baseline),
        sections=[section(e, checks.get(e.check), audited.classes, judged) for e in evidence],
        shows_fills=any(check.shows_fills for check in audited.checks),
        not_run=[one for one in evidence if one.status != "ok"],
        strip_width=WIDTH,
    )


def page(template: str, **content: object) -> str:
    """A page from a template of this package, with the shared style, script and security policy."""
    style, script = _shared("style.css"), _shared("page.js")
    return (
        _environment()
        .get_template(template)
        .render(opening=Markup(opening()), style=Markup(style), script=Markup(script), **content)
    )


@cache
def _environment() -> Environment:
    """The templates, each compiled once: that takes longer than a page."""
    environment = Environment(
        loader=PackageLoader("audits.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["in_shell"] = shlex.quote
    environment.filters["middle"] = middle
    environment.filters["together"] = together
    return environment


def opening() -> str:
    """The first lines of every page, up to its content security policy.

    A browser obeys the policy whatever follows: nothing is loaded, and no script but the page's own
    is run.
    """
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{_script_digest()}'; form-action 'none'; base-uri 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    )


def _script_digest() -> str:
    return base64.b64encode(hashlib.sha256(_shared("page.js").encode()).digest()).decode()


def made_safe(page: str) -> str:
    """A page of any release under the security policy of this one.

    Raises ValueError if it does not begin as such pages do, or could send the reader elsewhere.
    """
    begins = re.compile(
        re.escape(opening()).replace(re.escape(_script_digest()), "[0-9A-Za-z+/=]+")
    )
    found = begins.match(page)
    rest = "" if found is None else page[found.end() :]
    if not rest.count(_VIEWPORT) == len(re.findall("<meta", rest, re.IGNORECASE)) == 1:
        raise ValueError("it does not begin as the reports of this project do")
    odd = {name.lower() for name in _ELEMENT.findall(rest)} - _ELEMENTS
    if odd:
        raise ValueError(f"it has an element that no report has ({few(sorted(odd))})")
    return opening() + rest


def linked(page: str, file: str) -> str:
    """The page with the link to its other page leading to `file`, in the folder of both."""
    address = escape(quote(file))
    own = f'<a class="other" href="{address}" data-file="{address}"'
    found = r'<a class="other" href="[^"]*" data-file="[^"]*"([^>]*)>[^<]*</a>'
    return re.sub(found, lambda link: f"{own}{link[1]}>{escape(file)}</a>", page, count=1)


@cache
def _shared(name: str) -> str:
    return files("audits.report").joinpath("templates", name).read_text(encoding="utf-8")


class _Condition(NamedTuple):
    """A row of the first screen."""

    row: Row
    title: str
    strip: Strip | None
    beside: str  # behind the bound, if not the metric's own value is judged
    section: int | None  # number of the section of its check, from 1


def _check(row: Row) -> str:
    return row.judgement.condition.metric.partition("/")[0]


def _fitting(rows: Sequence[_Condition]) -> int:
    """How many conditions find room on the first screen, at least one."""
    totals = list(
        accumulate(
            max(2, 1 + math.ceil(len(one.title) / _LINE)) + bool(one.row.judgement.waiver)
            for one in rows
        )
    )
    if not totals or totals[-1] <= _LINES_FIRST:
        return len(totals)
    return max(1, sum(total <= _LINES_BEFORE_FOLD for total in totals))


def _title(row: Row) -> str:
    """The name of the metric alone: the bound says which of its figures is judged."""
    return title_of(row.metric, "value") if row.metric else row.title


def _beside(row: Row) -> str:
    told = {
        "lift": "above the null",
        "drop": "below the baseline",
        "null": "for the null",
    }
    return told.get(row.figure, "")


class _Prototype(NamedTuple):
    """The drawing of a class beside the real image that is nearest to it."""

    name: str
    drawing: Tile
    nearest: Tile | None


def _prototypes(evidence: Sequence[Evidence], classes: Sequence[str]) -> list[_Prototype]:
    nearest = shown(evidence, "nearest")
    return [
        _Prototype(
            class_name(label, classes),
            tile(picture, classes),
            tile(nearest[label], classes) if label in nearest else None,
        )
        for label, picture in sorted(shown(evidence, "class").items())
    ]
