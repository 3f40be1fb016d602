"""report.html: the whole audit on one self-contained page."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from audits.evidence.evidence import Evidence
from audits.evidence.metric import Figure, Metric, MetricUnit, named_figures
from audits.report.contact_sheet import png
from audits.verdict.decide import Verdict


def report(
    title: str,
    verdict: Verdict,
    evidence: list[Evidence],
    notes: list[str],
    sheet: bytes | None,
    contract: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The page as HTML, with its pictures inside and without scripts.

    `sheet` is a PNG, `contract` the fields of the model's input as (name, value, source).
    """
    environment = Environment(
        loader=PackageLoader("audits.report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        title=title,
        verdict=verdict,
        evidence=evidence,
        notes=notes,
        contract=contract,
        sheet=_inline(sheet) if sheet else None,
        legend=list(dict.fromkeys(line for e in evidence for line in e.legend)),
        large={e.check: _large(e) for e in evidence},
        figures={e.check: _figures(e) for e in evidence},
        tables={e.check: [_html(t) for t in e.tables.values()] for e in evidence},
    )


class _Figure(NamedTuple):
    """One row of a check's table."""

    name: str  # as policies and MLflow have it
    title: str
    value: str
    interval: str
    n: int


def _figures(evidence: Evidence) -> list[_Figure]:
    """Every figure of a check, in words and in its unit."""
    return [
        _Figure(
            name,
            _title(evidence.metrics[named.metric], named.figure),
            _number(named.estimate.value, evidence.metrics[named.metric].unit),
            " to ".join(
                _number(end, evidence.metrics[named.metric].unit)
                for end in (named.estimate.low, named.estimate.high)
            ),
            named.estimate.n,
        )
        for name, named in named_figures(evidence.metrics).items()
        if named.estimate is not None
    ]


def _title(metric: Metric, figure: Figure) -> str:
    if figure == "null" and metric.null is not None:
        return f"its null: {metric.null.title}"
    beside = {"lift": "better than its null by", "drop": "worse than the baseline by"}
    return beside.get(figure, metric.title)


def _number(value: float, unit: MetricUnit) -> str:
    return f"{value:,.1f}" if unit == "count" else f"{value:.3f}"


def _inline(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _large(evidence: Evidence) -> list[tuple[str, str]]:
    """Captions and base64 PNG of the pictures that are too large for the contact sheet."""
    return [
        (f"{p.key.rsplit('/', 1)[-1]}: {p.caption}", _inline(png(Image.fromarray(p.image))))
        for p in evidence.pictures
        if not p.small
    ]


def _html(table: pd.DataFrame) -> Markup:
    # pandas escapes the contents of the table.
    text = table.to_html(index=False, border=0, float_format=lambda x: f"{x:.3f}", na_rep="")
    return Markup(text)
