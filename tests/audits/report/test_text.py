"""Text of others on the page: hidden characters are shown, long names lose their middle."""

import re

from audits.report.audited import Audited
from audits.report.html import report
from audits.report.text import middle, visible
from audits.verdict.decide import Verdict


def test_characters_that_hide_or_turn_text_are_shown():
    assert visible("a\u202eb\x00\ud800\tc\n") == "a\\u202eb\\u0000\\ud800\tc\n"
    assert visible("👩\u200d🚀 größe 数字") == "👩\u200d🚀 größe 数字"
    page = report(Audited("m\u202e\x1b[31m v1"), Verdict("failed", "\x07\ud800"), [])
    assert "m\\u202e\\u001b[31m v1" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)
    page.encode()


def test_a_long_name_loses_its_middle():
    assert middle("abc", 3) == "abc"
    assert middle("a" * 50 + "b" * 50, 11) == "aaaaaa…bbbb"
    page = report(Audited("m" * 10_000), Verdict("failed", "r" * 3000), [])
    assert page.count("m" * 10_000) == 1  # in the title of the heading
    assert page.count("r" * 3000) == 1  # in the verdict in full
    assert f"<title>{middle('m' * 10_000, 60)}: failed</title>" in page
