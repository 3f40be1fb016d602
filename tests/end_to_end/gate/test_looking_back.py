"""What audits leave: a history, comparisons in pairs, two pages with a baseline, a summary."""

import re
from dataclasses import replace

import mlflow
import pytest
from gates import FILLS, GOOD, WORSE, ask, audit, never
from mlflow.artifacts import load_text

from audits import AuditError
from audits.tracking.history import history
from audits.workflows.audit import _ONLY_COMPARES
from audits.workflows.compare import audit_of, compare
from flows.cli import main

pytestmark = pytest.mark.slow


def test_history_lists_audits_with_the_alias_of_then(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "then", "1")
    result = audit(config(GOOD, baseline=None, policy={}))
    client.delete_registered_model_alias("digits", "then")
    newest = history("digits", "audits")[0]
    assert (newest.run_id, newest.version) == (result.run_id, "1")
    assert "then" in newest.aliases
    assert newest.verdict == "undecided"
    assert newest.reason == result.verdict.reason
    with pytest.raises(AuditError, match="Expected audits of 'digit_'"):
        history("digit_", "audits")


def test_compare_puts_two_audits_side_by_side_in_pairs(config):
    first = audit(config(GOOD, baseline=None, policy={}))
    second = audit(config(WORSE, policy={}))
    a, b = audit_of(first.run_id), audit_of(WORSE)
    row = compare(a, b).set_index("metric").loc["performance/accuracy"]
    drop = second.evidence[0].estimates["accuracy_drop"]
    assert row["b - a, paired"].startswith(f"{-drop.value:+.3f}")
    for part, name in (("data", "digest"), ("config", "seed")):
        changed = getattr(b.content, part).model_copy(update={name: "another"})
        content = b.content.model_copy(update={part: changed})
        table = compare(a, replace(b, content=content))
        assert set(table["b - a, paired"]) == {""}
    with pytest.raises(AuditError, match="Expected the run of a whole audit"):
        audit_of("0" * 32)


@pytest.fixture(scope="module")
def decided(config):
    """The decision on a version that is worse than its baseline."""
    return ask(config(WORSE, checks=FILLS))


def _words(page):
    return " ".join(re.sub("<[^>]+>", " ", page).split())


def _link(page):
    (found,) = re.findall('<a class="other" href="([^"]*)" data-file="[^"]*"', page)
    return found


@pytest.mark.soak
def test_each_of_the_two_has_a_page_that_says_which_it_is_and_the_verdict_of_the_other(decided):
    own = load_text(f"runs:/{decided.run_id}/report.html")
    other = load_text(f"runs:/{decided.run_id}/report_baseline.html")
    assert "✗ FAILED digits v2 candidate Audited" in _words(own)
    assert "Baseline: digits v1 PASSED, IN PART , report_baseline.html" in _words(own)
    assert _link(own) == "report_baseline.html"
    assert "✓ PASSED, IN PART digits v1 baseline Audited" in _words(other)
    assert "Candidate: digits v2 FAILED , report.html" in _words(other)
    assert _link(other) == "report.html"
    # It is judged alone, and has pictures and figures of its own.
    assert "accuracy_drop" not in other.split("The whole config")[0]
    assert other.count("data:image/png") > 20
    note = mlflow.get_run(decided.run_id).data.tags["mlflow.note.content"]
    assert f"[Report of the baseline]({decided.page}/artifacts/report_baseline.html)" in note


def test_show_writes_both_pages_with_links_that_lead_from_file_to_file(decided, tmp_path, capsys):
    file, other = tmp_path / "a page.html", tmp_path / "a page_baseline.html"
    command = ["show", decided.run_id, "--output", str(file)]
    other.write_text("mine")
    assert main(command) == 2
    assert f"Expected no file at {other}, found one." in capsys.readouterr().err
    assert not file.exists()
    other.unlink()
    assert main(command) == 0
    assert capsys.readouterr().out == f"{file}\n{other}\n"
    assert _link(file.read_text()) == "a%20page_baseline.html"
    assert _link(other.read_text()) == "a%20page.html"

    changed = tmp_path / "report_baseline.html"
    changed.write_text(load_text(f"runs:/{decided.run_id}/report_baseline.html") + "<p>")
    client = mlflow.MlflowClient()
    original = client.download_artifacts(decided.run_id, "report_baseline.html", str(tmp_path))
    assert original == str(changed)
    kept = changed.read_bytes()
    changed.write_bytes(kept.replace(b"PASSED", b"FAILED"))
    client.log_artifact(decided.run_id, str(changed))
    assert main([*command, "--force"]) == 2
    told = capsys.readouterr().err
    assert "its report_baseline.html is not the one that was logged" in told
    changed.write_bytes(kept)
    client.log_artifact(decided.run_id, str(changed))
    assert main([*command, "--force"]) == 0


def test_the_summary_has_the_answer_and_says_last_which_condition_decided(decided, config):
    again = ask(config(WORSE, checks=FILLS), audit=never)
    assert again.to_markdown() == decided.to_markdown()
    heading, sentence, table, run, see, full, last = decided.to_markdown().strip().split("\n\n")
    assert heading == "### digits v2: failed"
    assert re.match("Names only [0-9.]+ % of the images right ", sentence)
    head = [cell.replace("&nbsp;", "").strip() for cell in table.splitlines()[0].split("|")]
    assert head == ["", "condition", "needs", "measured", "null", "outcome", ""]
    assert len(table.splitlines()) == 2 + 2
    assert run == f"Run {decided.run_id}, compared with models&#58;/digits/1."
    assert re.match(
        "To see it: <code>mlflow ui --backend-store-uri sqlite:///[^<]*</code>, then ", see
    )
    assert f"[Run](http://127.0.0.1:5000/{decided.page})" in see
    assert full.startswith("<details><summary>In full</summary>performance/accuracy_drop &lt;= ")
    assert re.match(
        "failed: images named right: worse than the baseline by, needed at most 5 points, measured "
        r"[0-9.]+ points \(",
        last,
    )
    assert last.endswith(r"(performance/accuracy\_drop &lt;= 0.05)")


def test_links_of_a_summary_need_a_server_with_pages(decided, monkeypatch):
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "https://me:secret@host/mlflow")
    page = f"https://host/mlflow/{decided.page}"
    line = decided.to_markdown().split("\n\n")[-3]
    assert line == (
        f"[Report]({page}/artifacts/report.html) · "
        f"[Report of the baseline]({page}/artifacts/report_baseline.html) · "
        f"[Pictures]({page}/artifacts/contact_sheet.png) · [Run]({page})"
    )


def test_a_baseline_that_no_condition_judges_alone_is_undecided_and_says_why(config):
    policy = {"conditions": [{"metric": "performance/accuracy", "max_drop": 0.05}]}
    decision = ask(config(WORSE, policy=policy))
    page = load_text(f"runs:/{decision.run_id}/report_baseline.html")
    assert "? UNDECIDED digits v1 baseline" in _words(page)
    assert _ONLY_COMPARES in page
