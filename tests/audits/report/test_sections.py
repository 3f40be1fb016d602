"""The section of a check shows wrong answers, and long tables scroll."""

import re
from html import escape

import numpy as np
import pandas as pd

from audits.evidence.evidence import Evidence, Picture, Seen
from audits.report.audited import Audited
from audits.report.html import report
from audits.verdict.decide import Verdict

EVIL = "<script>alert('1')</script>"


def _page(evidence, classes=()):
    return report(Audited("m v1", classes=classes), Verdict("passed", "All."), [evidence])


def test_the_surest_wrong_answers_tell_class_answer_and_confidence():
    image = np.full((4, 6, 3), 77, np.uint8)
    wrong = [Seen("mistaken", 17, 0, 1, probability=0.987), Seen("mistaken", 18, 1, -1)]
    evidence = Evidence(
        check="performance",
        sentence="A sentence.",
        examples=tuple(Picture("p/m", n, image, "wrong", seen=one) for n, one in enumerate(wrong)),
    )
    page = _page(evidence, (EVIL, "dog"))
    assert EVIL not in page
    told = [f"Image 17, {escape(EVIL)}, read as dog .99", "Image 18, dog, read as no class"]
    assert re.findall('alt="([^"]*)"', page.replace("&#39;", "&#x27;")) == told
    assert "The surest wrong answers" in page
    assert "<bdi>read as dog .99</bdi>" in page


def test_a_long_table_scrolls_and_a_short_one_does_not():
    tables = {"long": pd.DataFrame({"n": range(41)}), "short": pd.DataFrame({"n": range(40)})}
    page = _page(Evidence(check="grid", sentence="A sentence.", tables=tables))
    shown = re.findall('<div class="([^"]*)" tabindex="0" role="region" aria-label="([^"]*)"', page)
    assert shown == [("scroll tall", "grid: long"), ("scroll", "grid: short")]
