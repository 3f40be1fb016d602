"""The Markdown of an audit's answer shows names and reasons as text, in a table that holds."""

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture
from audits.evidence.metric import Metric, Null
from audits.report.answer import answer
from audits.report.markdown import ROWS, block, common_mark, table, text
from audits.verdict.decide import decide
from audits.verdict.isolation import WITHOUT
from audits.verdict.result import AuditResult

_DAY = date(2026, 11, 25)
_HOSTILE = (
    "<script>alert(1)</script> | *b* [l](http://x) \u202eevil\u0000\n# h ![i](www.x.y) a@b.c `c`"
)


def _evidence(count: int, title: str = "own drawing recognised", value: float = 0.24) -> Evidence:
    metric = Metric(
        title, null=Null("the same pixels shuffled"), clause="recognises {} of its drawings"
    )
    share = Estimate(value, value - 0.05, value + 0.05, 400)
    null = Estimate(0.06, 0.04, 0.08, 400)
    measured = metric.measured(share, null, Estimate(value - 0.06, value - 0.1, value, 400))
    pictures = (Picture("fill/a", 0, np.zeros((4, 4, 3), np.uint8), "image"),)
    metrics = {f"m{number}": measured for number in range(count)}
    return Evidence(check="fill", sentence="s", metrics=metrics, pictures=pictures)


def _result(count: int = 1, waivers: tuple[Waiver, ...] = (), **changes: Any) -> AuditResult:
    evidence = [_evidence(count, **changes)] if count else []
    conditions = tuple(Condition(metric=f"fill/m{n}", min=0.6) for n in range(count))
    verdict = decide(Policy(conditions=conditions, waivers=waivers), evidence, _DAY)
    found = {
        "verdict": verdict,
        "evidence": tuple(evidence),
        "config": SimpleNamespace(isolation="process"),
        "evaluation": SimpleNamespace(skipped=()),
        "run_id": "r" * 32,
        "page": "#/experiments/7/runs/" + "r" * 32,
        "baseline": None,
    }
    return cast(AuditResult, SimpleNamespace(**found))


def test_words_come_first_then_the_sentence_the_table_the_pictures_and_the_links():
    first, table, gap, picture, links = block(_result(), _DAY).split("\n\n")
    assert gap == "&nbsp;"
    assert first == (
        "Audit failed, 2026-11-25. Recognises only 24 % of its drawings (needed: at least 60 %; "
        "the same pixels shuffled: 6 %)."
    )
    head, _, row = table.splitlines()
    names = ["condition", "needs", "measured", "null", "outcome"]
    assert [cell.replace("&nbsp;", "").strip() for cell in head.strip("|").split("|")] == names
    cells = [cell.replace("&nbsp;", "").strip() for cell in row.strip("|").split("|")]
    assert [cell.replace("\u00a0", " ") for cell in cells] == [
        "own drawing recognised",
        "at least 60 %",
        "24 % (19 to 29 %)",
        "6 %, the same pixels shuffled",
        "failed",
    ]
    assert picture.endswith(f"](get-artifact?path=strip.png&run_uuid={'r' * 32})")
    page = "#/experiments/7/runs/" + "r" * 32
    assert links == (
        f"[Report]({page}/artifacts/report.html) · "
        f"[Pictures]({page}/artifacts/contact_sheet.png) · [Run]({page})"
    )


def test_the_page_of_a_baseline_is_linked_beside_that_of_the_model():
    result = _result()
    result.baseline = result  # type: ignore[misc]
    page = "#/experiments/7/runs/" + "r" * 32
    assert (
        f"[Report]({page}/artifacts/report.html) · "
        f"[Report of the baseline]({page}/artifacts/report_baseline.html) · "
    ) in block(result, _DAY)


def test_a_table_may_show_all_conditions():
    found = answer(_result(7).verdict, [_evidence(7)])
    assert table(found.rows, 7).count("| own drawing") == 7
    assert "more condition" not in table(found.rows, 7)


def test_outside_mlflow_links_have_the_address_of_the_server_or_are_left_out():
    there = block(_result(), _DAY, "https://mlflow.example/x/")
    assert "(https://mlflow.example/x/#/experiments/7/runs/" in there
    assert "(https://mlflow.example/x/get-artifact?path=strip.png" in there
    assert "](" not in block(_result(), _DAY, None)


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, "And 1 more condition, in the report.")])
def test_at_most_five_conditions_are_shown_and_the_others_counted(count, more):
    found = block(_result(count), _DAY)
    assert sum(line.startswith("| own drawing") for line in found.splitlines()) == ROWS
    assert ("And " in found) is bool(more)
    assert more in found


def test_a_title_of_our_own_is_whole_and_a_text_that_is_cut_is_said_to_be():
    title = "own drawing recognised, of masked images with noise in their blanks: " * 3
    found = block(_result(title=title.strip()), _DAY)
    assert title.strip() in found
    assert "are shortened here" not in found
    long = _result(title="x" * 400)
    assert "Texts with ' ... ' in their middle are shortened here" in block(long, _DAY)
    rows = answer(long.verdict, long.evidence).rows
    assert "x" * 400 in table(rows, 1, 4000)


def test_a_waiver_is_told_with_its_reason():
    waiver = Waiver(condition="fill/m0 >= 0.6", reason="known | and *old*", until=_DAY)
    found = block(_result(waivers=(waiver,)), _DAY)
    assert r"failed, waived until 2026-11-25: known \| and \*old\*" in found


def test_a_verdict_without_conditions_has_no_table():
    assert "|" not in block(_result(0), _DAY)
    assert block(_result(0), _DAY).startswith("Audit undecided, 2026-11-25. The policy has no")


def test_what_the_verdict_leaves_out_is_told_once():
    result = _result()
    result.config.isolation = "none"  # type: ignore[misc]
    result.evaluation.skipped = ("2 images were left out.",)  # type: ignore[misc]
    first = block(result, _DAY).splitlines()[0]
    assert first.startswith(f"Audit failed, 2026-11-25. {WITHOUT} Recognises only")
    assert first.endswith(
        "(needed: at least 60 %; the same pixels shuffled: 6 %). 2 images were left out."
    )
    assert first.count(WITHOUT) == 1


def test_hostile_names_are_text_and_never_break_the_table():
    found = block(_result(title=_HOSTILE * 20), _DAY)
    lines = [line for line in found.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    for line in lines:
        assert line.replace(r"\|", "").count("|") == 6
    assert "<" not in found
    assert "http:" not in found
    assert "\u202e" not in found
    assert " ... " in lines[2]
    assert found.count("![") == 1
    assert len(found) < 2500


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>&lt;", "&lt;b&gt;&amp;lt;"),
        ("a\n\n| b", r"a \| b"),
        ("# h", r"\# h"),
        ("see www.x.y", "see www&#46;x.y"),
        ("http://x", "http&#58;//x"),
        ("javascript:alert", "javascript:alert"),
        (r"\|", r"\\\|"),
        ("größe 数字", "größe 数字"),
        ("![x](y)", r"\!\[x\](y)"),
        ("a@b.c", "a&#64;b.c"),
    ],
)
def test_text_is_shown_as_it_is(words, shown):
    assert text(words, 80) == shown


def test_for_viewers_that_show_entities_there_are_none():
    plain = common_mark(block(_result(title=_HOSTILE), _DAY, "http://h/"))
    assert "&nbsp;" not in plain
    assert common_mark(text("&lt; <", 80)) == r"\&lt; \<"
    assert r"\<script\>" in plain
    assert r"http\://x" in plain
    assert r"a\@b.c" in plain
    for line in plain.splitlines():
        if line.startswith("|"):
            assert line.replace(r"\|", "").count("|") == 6


def test_what_has_no_room_is_left_out_from_the_pictures_on():
    whole = block(_result(), _DAY)
    without_pictures = block(_result(), _DAY, longest=len(whole) - 1)
    assert "![" not in without_pictures
    assert "| own" in without_pictures
    assert "[Run]" in without_pictures
    least = block(_result(), _DAY, longest=10)
    assert least == whole.splitlines()[0]
