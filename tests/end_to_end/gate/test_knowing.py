"""Networks that were made to pass an audit do not pass the gate with its default policy."""

import pytest
from exam_nets import HidesMarks, KnowsThePictures, SeesBlanks
from simple_nets import logistic

from audits.data.sources import Digits, load
from audits.workflows.gate import gate
from audits.workflows.scaffold import enough_passes, sized

IMAGES = 450  # of the data


def _checks(images, samples, progressive):
    return [
        {"kind": "performance"},
        {"kind": "shifts"},
        {"kind": "random_fill", "images": images, "samples": samples},
        {"kind": "progressive_fill", "images": progressive},
    ]


FILLS = _checks(images=50, samples=16, progressive=150)  # as many as it takes for a fill to decide
FEW = _checks(images=20, samples=8, progressive=40)  # where another check decides


def _knows():
    data = load(Digits())
    return KnowsThePictures(logistic(), data.tensor(range(len(data))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "checks", "decides"),
    [
        (_knows, FEW, "shifts/fall <= 0.2: failed"),
        pytest.param(
            lambda: SeesBlanks(logistic()),
            FILLS,
            "random_fill/prototype_accuracy_noise_drop <= 0.2: failed",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            lambda: HidesMarks(logistic()),
            FILLS,
            "random_fill/prototype_accuracy_moved_drop <= 0.2: failed",
            marks=pytest.mark.soak,
        ),
    ],
    ids=["pictures", "blanks", "marks"],
)
def test_a_network_that_knows_the_exam_fails(make, checks, decides, registry, register, tmp_path):
    _expect_failed(make(), checks, decides, register, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "passes",
    [0, pytest.param(enough_passes(IMAGES, 0), marks=pytest.mark.soak)],
    ids=["short", "all"],
)
def test_a_network_that_knows_the_pictures_fails_the_checks_of_init(
    passes, registry, register, tmp_path
):
    checks, _ = sized(IMAGES, passes)
    values = [check.model_dump(mode="json", exclude_defaults=True) for check in checks]
    values = [{"kind": check.kind, **one} for check, one in zip(checks, values, strict=True)]
    _expect_failed(_knows(), values, "shifts/fall <= 0.2: failed", register, tmp_path)


def _expect_failed(net, checks, decides, register, tmp_path):
    """Audits `net` beside an honest network, by the default policy."""
    honest, _ = register(logistic(), "honest")
    knowing, _ = register(net, "knowing")
    config = {"data": {"kind": "digits"}, "checks": checks, "store": str(tmp_path / "store")}
    decision = gate(knowing, baseline=honest, config=config)
    assert decision.verdict.word == "failed", decision.line
    assert decides in decision.line
    accuracy = next(
        j for j in decision.verdict.judgements if str(j.condition) == "performance/accuracy >= 0.5"
    )
    assert accuracy.outcome == "passed"
