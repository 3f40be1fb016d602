"""The verdict in full: the conditions behind it as a list, in words and as tags have them."""

import re
from datetime import date
from html import unescape

import reports

from audits.config.policy import Policy, Waiver
from audits.report.html import report
from audits.verdict.decide import decide


def _words(page):
    """The text of a page without its head, with single spaces."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page.partition("<body>")[2])).split())


def _judged(evidence, policy=reports.POLICY, **fields):
    verdict = decide(policy, evidence, date(2026, 1, 1))
    return _words(report(reports.audited(reports.DIGITS, **fields), verdict, evidence))


def test_the_verdict_in_full_is_a_list_with_interval_n_null_and_the_images_that_settle_it():
    evidence = [reports.performed(reports.DIGITS), reports.drawn(reports.DIGITS, 0.64)]
    words = _judged(evidence)
    assert "? not judged : own drawing recognised needed: at least 60 % measured: 56 % (" in words
    listed = words.partition("The verdict in full")[2].partition("How to read")[0]
    for told in ("n = 100", "null: 1 %, the same pixels shuffled", "too uncertain: 46.2 to 65.3 %"):
        assert told in listed
    assert re.search(r"with about [0-9]+ more images it would be failed in 80 % of cases", listed)
    assert "2 other conditions passed." in listed
    assert "not measured: the audit has no check 'progressive_fill'" in listed
    # The line of tags and commands stands there too, folded, and once beside its condition.
    assert listed.count("random_fill/prototype_accuracy >= 0.6: not judged, 0.560 [") == 2


def test_of_conditions_that_all_passed_the_closest_is_told():
    evidence = [reports.performed(reports.DIGITS), reports.drawn(reports.DIGITS, 0.95)]
    policy = Policy(conditions=reports.POLICY.conditions[:3])
    words = _judged(evidence, policy)
    assert "All 3 conditions that count hold; this one is the closest to its bound: ✓ passed" in (
        words
    )


def test_questions_stand_in_the_verdict_in_full_as_they_are():
    evidence = [reports.performed(reports.DIGITS)]
    verdict = decide(reports.POLICY, evidence, date(2026, 1, 1), ["Which order of channels?"])
    words = _words(report(reports.audited(reports.DIGITS), verdict, evidence))
    assert "The verdict in full Which order of channels?" in words


def test_images_that_were_left_out_are_told_beside_the_verdict():
    left = ("2 of 9 files cannot be read.",)
    words = _judged([reports.performed(reports.DIGITS)], left_out=left)
    assert left[0] in words


def test_a_waiver_is_shown_with_its_reason_and_last_day():
    condition = reports.POLICY.conditions[1]
    waiver = Waiver(condition=str(condition), reason="known fault", until=date(2026, 12, 31))
    policy = Policy(conditions=(reports.POLICY.conditions[0], condition), waivers=(waiver,))
    words = _judged([reports.performed(reports.DIGITS), reports.drawn(reports.DIGITS)], policy)
    assert "? PASSED" not in words
    assert "✓ PASSED, 1 WAIVED" in words
    assert "failed waived until 2026-12-31: known fault" in words
    assert "All 1" not in words
    assert "The condition holds" in words
    assert "~ failed : own drawing recognised needed: at least 60 %" in words
    assert "null: 1 %, the same pixels shuffled waived until 2026-12-31: known fault" in words
