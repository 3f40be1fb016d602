"""The table of conditions in a terminal breaks names and ids where a word ends."""

import re
from datetime import date

import pytest
from rich.cells import cell_len

from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.verdict.decide import decide
from flows.terminal.verdict import show_verdict


@pytest.mark.parametrize("columns", [40, 60, 72, 80, 100])
def test_ids_are_broken_between_words_alone(columns, monkeypatch, capsys):
    name = "recognised_by_an_independent_reference_accuracy_of_the_moved_images"
    metric = Metric(
        "own drawing recognised", Estimate(0.5, 0.4, 0.6, 90), drop=Estimate(0.1, -0.105, 0.46, 90)
    )
    evidence = (Evidence(check="progressive_fill", sentence="s", metrics={name: metric}),)
    condition = Condition(metric=f"progressive_fill/{name}", max_drop=0.05)
    waiver = Waiver(condition=str(condition), reason="later", until=date(2027, 3, 31))
    monkeypatch.setenv("COLUMNS", str(columns))
    verdict = decide(Policy(conditions=(condition,), waivers=(waiver,)), evidence, date(2026, 1, 1))
    show_verdict("m v1", verdict, evidence)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    parts = {*re.findall("[a-z]+", name), "progressive", "fill", "drop"}
    begins = max(n for n, line in enumerate(lines) if line.startswith("condition"))
    table = lines[begins : next(n for n, line in enumerate(lines) if line.startswith("  pro"))]
    pieces = [piece for line in table for piece in re.findall(r"[a-z]+_|_[a-z]+", line)]
    assert pieces
    assert {piece.strip("_") for piece in pieces} <= parts
    if columns >= 60:
        assert "2027-03-31" in " ".join(table)
