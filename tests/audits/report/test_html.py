"""The report shows names as text and loads nothing; class names become keys for MLflow."""

import base64
import io
import math
import re
from datetime import date
from html.parser import HTMLParser

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name
from PIL import Image

from audits.checks._images import slugs
from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, failed_evidence
from audits.evidence.metric import Metric
from audits.report.html import report
from audits.verdict.decide import Judgement, Verdict, decide

EVIL = "<script>alert('1')</script><img src=x onerror=alert(2)>\"&amp;"


class _Page(HTMLParser):
    """Collects all tags of a page with their attributes, and all text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page():
    """A report in which every name and reason is hostile HTML."""
    condition = Condition(metric=f"{EVIL.replace('/', '|')}/accuracy", min=0.5)
    verdict = Verdict("failed", EVIL, (Judgement(condition, "not_judged", EVIL),))
    evidence = [
        Evidence(
            check=EVIL, sentence=EVIL, metrics={EVIL: Metric("m", Estimate(0.5, 0.25, 0.75, 40))}
        ),
        failed_evidence("fill", "error", EVIL),
    ]
    return report(EVIL, verdict, evidence, [EVIL], b"\x89PNG")


def test_names_and_reasons_are_text_and_nothing_else(page):
    parsed = _Page(page)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert [a for tag, a in parsed.tags if tag == "img"] == [
        {
            "alt": "Contact sheet",
            "src": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(),
        }
    ]
    assert not [name for _, attributes in parsed.tags for name in attributes if name[:2] == "on"]
    # title twice, reason, finding, check, sentence, metric, the failed check's sentence, note
    assert parsed.text.count(EVIL) == 9


def test_the_page_refers_to_nothing_outside_itself(page):
    for tag, attributes in _Page(page).tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "data", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?:|//", re.sub(r"base64,[\w+/=]+", "", page))


def test_the_page_shows_verdict_figures_and_intervals():
    condition = Condition(metric="fill/accuracy", min=0.5)
    evidence = [
        Evidence(check=check, sentence=sentence, metrics={"accuracy": Metric("accuracy", estimate)})
        for check, sentence, estimate in (
            ("fill", "It fills.", Estimate(0.61234, 0.5555, 0.7, 40)),
            ("other", "Nothing.", Estimate(math.nan, math.nan, 1, 0)),
        )
    ]
    verdict = decide(Policy(conditions=(condition,)), evidence, date(2026, 1, 1))
    text = _Page(report("m v1", verdict, evidence, [], None)).text
    for shown in ("m v1", "passed", "fill/accuracy >= 0.5", "It fills.", "0.612", "40", "nan"):
        assert shown in text
    assert "0.555 to 0.700" in text or "0.556 to 0.700" in text


def test_tables_and_large_pictures_stand_under_their_check():
    image = np.full((4, 6, 3), 77, np.uint8)
    pictures = (
        Picture("grid/map", 0, image, EVIL, small=False),
        Picture("grid/cell", 0, image, "c"),
    )
    table = pd.DataFrame({EVIL: [EVIL, "b"], "share": [0.12345, 1.0]})
    evidence = Evidence(
        check="grid", sentence="A sentence.", tables={"cells": table}, pictures=pictures
    )
    parsed = _Page(report("m v1", Verdict("passed", "All."), [evidence], [], None))
    (shown,) = [a for tag, a in parsed.tags if tag == "img"]
    assert shown["alt"] == f"map: {EVIL}"
    with Image.open(io.BytesIO(base64.b64decode(shown["src"].split(",")[1]))) as inside:
        assert np.array_equal(np.asarray(inside), image)
    assert parsed.text.count(EVIL) == 2
    assert "0.123" in parsed.text
    assert not [name for _, attributes in parsed.tags for name in attributes if name[:2] == "on"]


def test_a_page_without_pictures_or_conditions_has_no_empty_headings():
    parsed = _Page(report("m v1", Verdict("undecided", "Nothing."), [], [], None))
    assert "h2" not in {tag for tag, _ in parsed.tags}
    assert "img" not in {tag for tag, _ in parsed.tags}


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6, unique=True))
def test_slugs_differ_and_are_fit_for_mlflow(names):
    found = slugs(names)
    assert len(found) == len(names)
    assert len(set(found)) == len(names)
    for slug in found:
        assert "/" not in slug
        _validate_metric_name(f"fill/{slug}")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["0", "1"], ["0", "1"]),
        (["tabby cat", "Ankle boot"], ["tabby_cat", "Ankle_boot"]),
        (["tench, Tinca tinca"], ["tench_Tinca_tinca"]),
        (["a b", "a_b"], ["a_b", "a_b_1"]),
        (["猫", "犬"], ["class", "class_1"]),
    ],
)
def test_slugs_keep_what_can_be_read(names, wanted):
    assert slugs(names) == wanted


@pytest.mark.parametrize("names", [["a b", "a_b", "a_b_1"], [".", ".."]])
def test_slugs_of_awkward_names_differ_and_are_fit_for_mlflow(names):
    found = slugs(names)
    assert len(set(found)) == len(names)
    for slug in found:
        _validate_metric_name(f"fill/{slug}")


@pytest.mark.parametrize(
    "names",
    [
        ["a/b", "a,b", "(c) <d>", "..", "größe", "#%", "é" * 50, " ", "A" * 120],
        pytest.param(["x" * 300], id="long"),
    ],
)
def test_mlflow_takes_every_slug_as_the_key_of_an_image(names, registry):
    image = np.zeros((2, 2, 3), np.uint8)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for slug in slugs(names):
            client.log_image(run.info.run_id, image, key=f"f/{slug}", step=0, synchronous=True)
    stored = {a.path for a in client.list_artifacts(run.info.run_id, "images")}
    assert len(stored) == 2 * len(names)
