"""report.html: the audit on one self-contained page."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from audits.evidence import Evidence
from audits.verdict import Verdict


def report(
    title: str, verdict: Verdict, evidence: list[Evidence], notes: list[str], sheet: bytes | None
) -> str:
    """The page as HTML; pictures are inside it, and no script is."""
    environment = Environment(
        loader=PackageLoader("audits"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        title=title,
        verdict=verdict,
        evidence=evidence,
        notes=notes,
        sheet=base64.b64encode(sheet).decode() if sheet else None,
    )
