"""The pages of a candidate and its baseline say which they are, and link to each other."""

from dataclasses import replace
from html.parser import HTMLParser

import reports

from audits.report.audited import OtherPage
from audits.report.html import linked, report
from audits.verdict.decide import Verdict

_PASSED = Verdict("passed", "All.")


class _Page(HTMLParser):
    """The links of a page, and its words."""

    def __init__(self, html):
        super().__init__()
        self.links, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.text += " "
        if tag == "a":
            self.links.append(dict(attributes))

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, _):
        self.text += " "

    @property
    def words(self):
        return " ".join(self.text.split())


def test_two_pages_say_which_of_the_two_they_are_and_link_to_each_other():
    other = OtherPage(
        "baseline", "<b>v</b> 1", "passed", "passed, 1 waived", "report_baseline.html"
    )
    audited = reports.audited(reports.DIGITS, run_url="", baseline=True, other=other)
    page = report(audited, Verdict("failed", "None."), [])
    parsed = _Page(page)
    assert "digits v2 candidate" in parsed.words
    assert "Baseline: <b>v</b> 1 PASSED, 1 WAIVED , report_baseline.html" in parsed.words
    (link,) = parsed.links
    assert (link["href"], link["data-file"]) == ("report_baseline.html",) * 2
    there = "https://host/#/experiments/1/runs/2/artifacts/report_baseline.html"
    parsed = _Page(report(replace(audited, other=replace(other, url=there)), _PASSED, []))
    assert [a["href"] for a in parsed.links] == [there]

    odd = 'a "b" & c.html'
    (link,) = _Page(linked(page, odd)).links
    assert (link["href"], link["data-file"]) == ("a%20%22b%22%20%26%20c.html",) * 2

    audited = reports.audited(reports.DIGITS, other=replace(other, role="candidate"))
    parsed = _Page(report(audited, _PASSED, []))
    assert "digits v2 baseline" in parsed.words
    assert "Candidate: <b>v</b> 1 PASSED, 1 WAIVED" in parsed.words
    assert "Baseline: none" not in parsed.words
    assert "is judged by the conditions of the same policy that do not compare" in parsed.words
