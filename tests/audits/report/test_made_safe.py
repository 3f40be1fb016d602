"""A page that a run has kept is shown under this release's policy, or not at all."""

import re
from importlib.resources import files

import pytest

from audits.report.audited import Audited
from audits.report.html import made_safe, report
from audits.verdict.decide import Verdict


def test_a_page_of_another_release_is_put_under_this_policy():
    page = report(Audited("m v1"), Verdict("failed", "No."), [])
    assert made_safe(page) == page
    other = re.sub(r"sha256-[^']+", "sha256-AAAA", page, count=1)
    assert made_safe(other) == page
    for changed in (
        page.replace("default-src 'none'", "default-src *", 1),
        "<script>alert(1)</script>" + page,
        page.replace("<body>", '<body><META http-equiv="refresh" content="0;url=x">'),
        re.sub('<meta name="v[^>]*>', '<meta http-equiv="refresh" content="0;url=x">', page),
        page.replace("sha256-", "unsafe-inline' 'sha256-", 1),
        "",
    ):
        with pytest.raises(ValueError, match="does not begin as the reports"):
            made_safe(changed)


def test_every_element_of_a_template_may_stand_in_a_page():
    page = report(Audited("m v1"), Verdict("failed", "No."), [])
    templates = files("audits.report").joinpath("templates").iterdir()
    texts = [one.read_text() for one in templates if one.name.endswith(".html")]
    found = {name for text in texts for name in re.findall("<[a-z][a-z0-9]*", text)} - {"<meta"}
    assert len(found) > 30
    made_safe(page.replace("</body>", f"{'> '.join(found)}></body>"))


@pytest.mark.parametrize(
    "added",
    [
        '<Link rel="preconnect" href="//x">',
        """<iframe srcdoc='&lt;link rel="preconnect" href="//x"&gt;'></iframe>""",
        '<p title="<base href=//x>">',
        "<object/data=//x>",
        "<svg><image href=//x /></svg>",
        "<my-element>",
    ],
)
def test_a_page_with_an_element_that_no_report_has_is_refused(added):
    page = report(Audited("m v1"), Verdict("failed", "No."), [])
    with pytest.raises(ValueError, match="an element that no report has"):
        made_safe(page.replace("</body>", f"{added}</body>"))
