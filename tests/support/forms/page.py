"""The table of forms as Markdown for docs/models.md; run as a script it rewrites the page's table.

PYTHONPATH=tests/support python -m forms.page
"""

import json
from pathlib import Path

from forms import table
from forms.form import Form

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
BEGIN, END = "<!-- forms: begin -->", "<!-- forms: end -->"


def rows() -> str:
    """The table, with the number of forms and of those that are audited before it."""
    audited = [form for form in table.FORMS if not form.refused]
    plain = [form for form in audited if not form.asked and not form.config]
    lines = [
        f"{len(table.FORMS)} forms are tried; {len(audited)} of them "
        f"({len(audited) / len(table.FORMS):.0%}) are audited, {len(plain)} as they were logged. "
        "Every other form ends with one line that says what to do.",
        "",
        "| form | outcome | checks of fills |",
        "|---|---|---|",
    ]
    lines += [f"| {form.name} | {_outcome(form)} | {_fills(form)} |" for form in table.FORMS]
    return "\n".join(lines)


def _outcome(form: Form) -> str:
    if form.refused:
        return "refused in one line"
    if not form.config:
        return "audited"
    told = ", ".join(f"`{key}: {_shortened(value)}`" for key, value in form.config.items())
    return f"{'asks; audited' if form.asked else 'audited'} with {told}"


def _shortened(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 70 else f"{text[:60]} ..."


def _fills(form: Form) -> str:
    if form.refused:
        return ""
    return "apply" if form.fills == "ok" else "do not apply"


def expected(page: str) -> str:
    """The page with today's table between its two markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{rows()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(expected(PAGE.read_text()))
