"""The terminal prints the reason of a verdict once, in its last line."""

from datetime import date

import pytest

from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.verdict.decide import Verdict, decide
from flows.terminal.verdict import say_reason, show_verdict

_EVIDENCE = (
    Evidence(
        check="own",
        sentence="It is so.",
        metrics={"other": Metric("another", Estimate(0.6, 0.5, 0.7, 450))},
    ),
)
_OPEN = decide(
    Policy(conditions=(Condition(metric="own/other", min=0.6),)), _EVIDENCE, date(2026, 1, 1)
)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict("undecided", "Nobody named the mean."), "Nobody named the mean."),
        (_OPEN, "own/other >= 0.6: not judged, "),
    ],
)
def test_a_reason_is_printed_once(verdict, told, capsys):
    show_verdict("digits v1", verdict, _EVIDENCE)
    say_reason(verdict.told, verdict.reason)
    out = capsys.readouterr().out
    assert " ".join(out.split()).count(told) == 1
    assert out.splitlines()[-1].startswith(f"undecided: {told}")
