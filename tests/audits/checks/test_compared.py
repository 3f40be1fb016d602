"""Ways of feeding are compared in pairs, with their number taken into account."""

import numpy as np
import pytest

from audits.checks._input_doctor.compared import Compared
from audits.checks._input_doctor.neighbours import Neighbour
from audits.data.fit import AS_IT_IS
from audits.models.contract import InputContract


def _part(right):
    """Answers that are right if `right`, (n, 1 + m), else wrong, among ten classes."""
    label = np.arange(len(right)) % 10
    return {
        "label": label,
        "predicted": np.where(right, label[:, None], (label[:, None] + 1) % 10),
        "confidence": np.full(right.shape, 0.5),
    }


def _compared(right, contradicts=()):
    """Neighbours n0, n1, ... beside the contract; some `contradict` a source."""
    contract = InputContract(AS_IT_IS)
    tried = [
        Neighbour(f"n{n}", contract, "set x: y", contradicts=n in contradicts)
        for n in range(right.shape[1] - 1)
    ]
    return Compared(_part(right), tried)


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_neighbours_that_are_no_better_seldom_raise_an_alarm(accuracy):
    rng = np.random.default_rng(0)
    trials = [_compared(rng.random((64, 13)) < accuracy) for _ in range(100)]
    assert sum(bool(compared.better) for compared in trials) <= 5


def test_the_number_of_neighbours_widens_the_intervals():
    right = np.zeros((64, 13), dtype=bool)
    right[:30, 0], right[:60, 1], right[:37, 2] = True, True, True
    many, few = _compared(right), _compared(right[:, :3])
    assert many.better == [0]
    assert few.better == [0, 1]
    assert many.gains[0].low < few.gains[0].low
    assert many.question.startswith(
        "Accuracy is 0.47 as configured, 0.94 with n0, better by 0.47 ["
    )
    assert many.question.endswith("] (64 images, 12 neighbours tried): set x: y.")


def test_equally_good_neighbours_are_listed():
    right = np.zeros((64, 4), dtype=bool)
    right[:60, 1], right[:59, 2], right[:20, 3] = True, True, True
    question = _compared(right).question
    assert question.endswith("Not clearly worse: n1.")


def test_of_equally_good_neighbours_one_that_contradicts_no_source_is_named_first():
    right = np.zeros((64, 4), dtype=bool)
    right[:60, 1], right[:59, 2], right[:20, 3] = True, True, True
    question = _compared(right, contradicts=(0,)).question
    assert "0.92 with n1" in question
    assert question.endswith("Not clearly worse: n0.")


def test_few_images_are_said_to_be_too_few():
    right = np.zeros((5, 13), dtype=bool)
    right[:4, 0], right[:, 1] = True, True
    compared = _compared(right)
    assert compared.better == []
    assert "5 images are too few to find one, even if it were always right" in compared.sentence
