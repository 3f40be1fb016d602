"""The report shows names as text, loads nothing, and leaves nothing out without a word."""

import base64
import io
import math
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import reports
from PIL import Image
from report_pages import PAGES

from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, Seen, failed_evidence
from audits.evidence.metric import Metric
from audits.report.audited import Audited
from audits.report.html import report
from audits.report.text import visible
from audits.verdict.decide import Verdict, decide
from audits.verdict.judgement import Judgement

EVIL = "<script>alert('1')</script><img src=x onerror=alert(2)>\"&amp;"
TODAY = date(2026, 11, 26)


class _Page(HTMLParser):
    """Collects all tags of a page with their attributes, and all text outside style and script."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._inside = [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside, self.text = tag, self.text + " "

    def handle_endtag(self, tag):
        self._inside, self.text = "", self.text + " "

    def handle_data(self, data):
        if self._inside not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self):
        """The text with single spaces."""
        return " ".join(self.text.split())


@pytest.fixture
def page():
    """A report in which every name and reason is hostile HTML."""
    condition = Condition(metric=f"{EVIL.replace('/', '|')}/accuracy", min=0.5)
    verdict = Verdict("failed", EVIL, (Judgement(condition, "not_judged", EVIL),))
    seen = Seen("image", 0, 0, 1)
    picture = Picture("a/b", 0, np.zeros((4, 4), np.uint8), EVIL, title=EVIL, seen=seen)
    evidence = [
        Evidence(
            check=EVIL,
            sentence=EVIL,
            metrics={EVIL: Metric("m", Estimate(0.5, 0.25, 0.75, 40))},
            pictures=(picture, replace(picture, key="a/c", seen=None)),
            legend=(EVIL,),
        ),
        failed_evidence("fill", "error", EVIL, EVIL),
    ]
    audited = Audited(
        EVIL,
        EVIL,
        EVIL,
        EVIL,
        run_id=EVIL,
        classes=(EVIL, EVIL + "2"),
        notes=(EVIL,),
        contract=((EVIL, EVIL, EVIL),),
        config=EVIL,
        repeat=((EVIL, EVIL),),
    )
    return report(audited, verdict, evidence)


def test_names_and_reasons_are_text_and_nothing_else(page):
    parsed = _Page(page)
    assert len(parsed.all("script")) == 1  # the page's own
    assert all(a["src"].startswith("data:image/png;base64,") for a in parsed.all("img"))
    assert not [name for _, attributes in parsed.tags for name in attributes if name[:2] == "on"]
    # Among others: the reason, the finding, the sentences, the notes, the config.
    assert parsed.text.count(EVIL) > 15


def test_the_page_refers_to_nothing_outside_itself(page):
    for tag, attributes in _Page(page).tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert attributes.get("href", "#").startswith("#")  # a place of the page
        for name in ("src", "srcset", "data", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?:|//", re.sub(r"base64,[\w+/=]+", "", page))


def test_a_condition_leads_to_the_section_of_its_check():
    page = PAGES["failed"]()
    for metric in (str(condition.metric) for condition in reports.POLICY.conditions):
        number = re.search(rf'<a href="#check-(\d+)"><span title="{metric}', page)[1]
        heading = re.search(rf'<h2 id="check-{number}">.*?</h2>', page)[0]
        assert f'<span class="id">{metric.partition("/")[0]}</span>' in heading


def test_the_only_address_on_the_page_is_that_of_the_run():
    audited = reports.audited(reports.DIGITS)
    parsed = _Page(report(audited, Verdict("passed", "All."), []))
    assert [a["href"] for a in parsed.all("a")] == [audited.run_url]
    without = replace(audited, run_url="")
    parsed = _Page(report(without, Verdict("passed", "All."), []))
    assert not parsed.all("a")
    assert audited.run_id in parsed.text


def test_a_policy_in_the_page_forbids_every_script_but_its_own(page):
    first = _Page(page).tags[3]
    assert first[0] == "meta"
    policy = first[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    own = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    import hashlib

    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_page_shows_verdict_figures_and_intervals():
    condition = Condition(metric="fill/accuracy", min=0.5)
    evidence = [
        Evidence(check=check, sentence=sentence, metrics={"accuracy": Metric("hits", estimate)})
        for check, sentence, estimate in (
            ("fill", "It fills.", Estimate(0.61234, 0.5555, 0.7, 40)),
            ("other", "Nothing.", Estimate(math.nan, math.nan, 1, 0)),
        )
    ]
    verdict = decide(Policy(conditions=(condition,)), evidence, TODAY)
    words = _Page(report(Audited("m v1"), verdict, evidence)).words
    for shown in ("✓ PASSED m v1", "hits fill/accuracy", "at least 50 %", "It fills."):
        assert shown in words
    assert "61.2 % (55.5 to 70 %) n = 40" in words or "61.2 % (55.6 to 70 %) n = 40" in words
    assert "not measured" in words


def _judged(evidence, policy=reports.POLICY, **fields):
    verdict = decide(policy, evidence, TODAY)
    audited = reports.audited(reports.DIGITS, **fields)
    return _Page(report(audited, verdict, evidence))


def test_every_picture_of_a_class_says_how_the_model_reads_it():
    evidence = [
        reports.performed(reports.DIGITS),
        reports.drawn(reports.DIGITS),
        reports.filled(reports.DIGITS),
    ]
    parsed = _judged(evidence)
    alts = [a["alt"] for a in parsed.all("img")] + [
        a["aria-label"] for a in parsed.all("span") if "aria-label" in a
    ]
    seen = evidence[1].images.set_index(evidence[1].images["label"])["prototype"]
    for label in range(10):
        assert f"{label}: the real image read as {label}, right" in alts
        read = int(seen.loc[label].iloc[0])
        word = "right" if read == label else "wrong"
        drawing = f"{label}: its own drawing"
        told = f"{drawing} read as {read}, {word}" if label != 1 else f"{drawing}, no draw accepted"
        assert told in alts
    assert not [alt for alt in alts if not alt]
    assert "no draw accepted" in parsed.text


def test_the_worst_class_stands_first():
    evidence = [reports.performed(reports.DIGITS), reports.drawn(reports.DIGITS)]
    table = evidence[1].images
    shares = (table["label"] == table["prototype"]).groupby(table["label"]).mean()
    names = re.findall(r'<li><div class="name"><span title="(\d)">', _source(evidence))
    assert len(names) == 10
    assert [shares[int(name)] for name in names] == sorted(shares)


def _source(evidence, **fields):
    audited = reports.audited(fields.pop("classes", reports.DIGITS), **fields)
    return report(audited, decide(reports.POLICY, evidence, TODAY), evidence)


def test_nothing_is_left_out_without_a_word():
    classes = reports.LONG
    evidence = [reports.performed(classes), reports.drawn(classes), reports.filled(classes)]
    source = _source(evidence, classes=classes)
    parsed = _Page(source)
    assert (
        "10 of 40 classes, the worst first of those with pictures. The audit chose them at random "
        "before it measured. The table below has the figures of all."
    ) in parsed.words
    titles = {a["title"] for a in parsed.all("span") if "title" in a}
    assert titles >= {visible(name) for name in classes}
    assert "other kinds of mistakes" in parsed.text
    many = tuple(f"class {n}" for n in range(100))
    words = _Page(_source([reports.performed(many, each=2)], classes=many)).words
    assert "100 classes are too many for a matrix." in words
    assert "100 classes, the worst first; the table scrolls" in words
    page = _source([reports.performed(many, each=2)], classes=many)
    tables = re.findall(r'<table class="sortable bars">.*?</table>', page, re.DOTALL)
    # One table, so that sorting sorts all of it.
    assert [table.count("<tr>") for table in tables] == [1 + 100]


def test_more_conditions_than_find_room_are_folded_and_counted():
    policy = Policy(
        conditions=tuple(Condition(metric="performance/accuracy", min=n / 100) for n in range(12))
    )
    parsed = _judged([reports.performed(reports.DIGITS)], policy)
    assert "8 more conditions: 8 passed" in parsed.words
    assert parsed.text.count("at least") == 12 + 2  # and the sentence, and the reason


def test_the_baseline_stands_beside_the_model_on_the_same_images():
    evidence = [reports.drawn(reports.DIGITS), reports.filled(reports.DIGITS)]
    words = _judged(evidence, baseline=True).words
    assert "Beside the baseline, models:/digits/1" in words
    assert "this model: its own drawing read as" in words
    assert "baseline: its own drawing read as" in words
    bare = reports.audited(reports.DIGITS, baseline=True)
    others = [one.model_copy(update={"pictures": ()}) for one in bare.baseline.evidence]
    bare = replace(bare, baseline=replace(bare.baseline, evidence=others))
    words = _Page(report(bare, Verdict("passed", "All."), evidence)).words
    assert "The baseline has no pictures here" in words


def test_an_ablation_shows_lifts_with_intervals_and_n():
    parsed = _judged([reports.ablated()])
    for words in ("own drawing recognised", "share of images that count", "share of blanks"):
        assert words in parsed.words
    assert "better than the same pixels shuffled by accuracy_lift" in parsed.words
    assert "+20 (+10 to +30) points" in parsed.words
    assert "ablation_cells.csv of the run: f1_macro." in parsed.words
    (region,) = [a for a in parsed.all("div") if "cells" in a.get("aria-label", "")]
    assert (region["role"], region["tabindex"]) == ("region", "0")


def test_what_was_not_run_is_told_with_the_reason():
    words = _judged([reports.performed(reports.DIGITS), reports.broken()]).words
    assert "shifts ended with an error: the worker was killed" in words
    assert "Traceback: somewhere" in words


def test_tables_and_large_pictures_stand_under_their_check():
    image = np.full((4, 6, 3), 77, np.uint8)
    pictures = (
        Picture("grid/map", 0, image, EVIL, small=False),
        Picture("grid/other", 0, image, "c", small=False),
    )
    table = pd.DataFrame({EVIL: [EVIL, "b"], "share": [0.12345, 1.0]})
    evidence = Evidence(
        check="grid", sentence="A sentence.", tables={"cells": table}, pictures=pictures
    )
    parsed = _Page(report(Audited("m v1"), Verdict("passed", "All."), [evidence]))
    shown, other = parsed.all("img")
    assert (shown["alt"], other["alt"]) == (f"map: {EVIL}", "other: c")
    with Image.open(io.BytesIO(base64.b64decode(shown["src"].split(",")[1]))) as inside:
        assert np.array_equal(np.asarray(inside), image)
    assert parsed.text.count(EVIL) == 2
    assert "0.123" in parsed.text
    assert not [name for _, attributes in parsed.tags for name in attributes if name[:2] == "on"]


def test_a_page_without_pictures_or_conditions_has_no_empty_headings():
    parsed = _Page(report(Audited("m v1"), Verdict("undecided", ""), []))
    assert not parsed.all("h2")
    assert not parsed.all("img")
    assert not parsed.all("table")


def test_fills_are_explained_if_a_check_draws_some():
    classes, told = ("cat", "dog"), "asked how it would fill them in"
    evidence, verdict = [reports.performed(classes)], Verdict("undecided", "Nothing was judged.")
    plain = [check for check in reports.CHECKS if not check.shows_fills]
    assert 0 < len(plain) < len(reports.CHECKS)
    with_all = _Page(report(reports.audited(classes), verdict, evidence)).words
    without = _Page(report(reports.audited(classes, checks=plain), verdict, evidence)).words
    assert told in with_all
    assert "shuffled to random places" in with_all
    assert told not in without
    assert "shuffled" not in without
    assert "How to read this page" in without
