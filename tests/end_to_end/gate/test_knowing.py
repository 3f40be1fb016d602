"""Networks that were made to pass an audit do not pass the gate with its default policy."""

import pytest
from exam_nets import HidesMarks, KnowsThePictures, SeesBlanks
from simple_nets import logistic

from audits.data.sources import Digits, load
from audits.workflows.gate import gate

CHECKS = [
    {"kind": "performance"},
    {"kind": "shifts"},
    {"kind": "random_fill", "images": 50, "samples": 16},
    {"kind": "progressive_fill", "images": 150},
]


def _knows():
    data = load(Digits())
    return KnowsThePictures(logistic(), data.tensor(range(len(data))))


@pytest.mark.parametrize(
    ("make", "decides"),
    [
        (_knows, "shifts/fall <= 0.2: failed"),
        pytest.param(
            lambda: SeesBlanks(logistic()),
            "random_fill/prototype_accuracy_noise_drop <= 0.2: failed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: HidesMarks(logistic()),
            "random_fill/prototype_accuracy_moved_drop <= 0.2: failed",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["pictures", "blanks", "marks"],
)
def test_a_network_that_knows_the_exam_fails(make, decides, registry, register, tmp_path):
    honest, _ = register(logistic(), "honest")
    knowing, _ = register(make(), "knowing")
    config = {"data": {"kind": "digits"}, "checks": CHECKS, "store": str(tmp_path / "store")}
    decision = gate(knowing, baseline=honest, config=config)
    assert decision.verdict.word == "failed", decision.line
    assert decides in decision.line
    accuracy = next(
        j for j in decision.verdict.judgements if str(j.condition) == "performance/accuracy >= 0.5"
    )
    assert accuracy.outcome == "passed"
