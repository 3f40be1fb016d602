"""F1 is scikit-learn's, and its intervals agree with slow loops and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from audits.evidence.f1 import bootstrap_f1, paired_f1_difference, scores
from audits.evidence.intervals import paired_difference

WEIGHTED = "f1_weighted"


@pytest.fixture(scope="module")
def answers():
    """Labels and answers of 200 images; no image has class 3 of 4, 20 answers are -1, no class."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(0, 4, 200))
    predicted[rng.choice(200, 20, replace=False)] = -1
    return truth, predicted


def _f1(truth, predicted, average, labels=(0, 1, 2)):
    return f1_score(truth, predicted, labels=labels, average=average, zero_division=0)


def test_scores_are_those_of_scikit_learn_over_the_classes_that_have_images(answers):
    truth, predicted = answers
    found = scores(truth, predicted)
    assert found["accuracy"].value == accuracy_score(truth, predicted)
    for average in ("macro", "weighted"):
        assert found[f"f1_{average}"].value == _f1(truth, predicted, average)
    assert {estimate.n for estimate in found.values()} == {200}


def test_a_perfect_model_on_two_of_ten_classes_has_an_f1_of_1():
    truth = np.repeat([3, 8], 20)
    found = scores(truth, truth)
    assert {estimate.value for estimate in found.values()} == {1.0}
    assert {estimate.high for estimate in found.values()} == {1.0}
    assert found["f1_macro"].low > 0.8
    paired = paired_f1_difference(truth, truth, np.full(40, 3), "macro")
    assert paired.value == pytest.approx(1 - _f1(truth, np.full(40, 3), "macro", [3, 8]))


def test_an_answer_of_a_class_without_images_is_an_error():
    truth = np.repeat([3, 8], 20)
    predicted = np.where(np.arange(40) < 5, 6, truth)
    found = scores(truth, predicted)
    assert found["f1_macro"].value == pytest.approx((2 * 15 / 35 + 1) / 2)
    # As much as if it were no class at all.
    assert found == scores(truth, np.where(predicted == 6, -1, predicted))


def test_classes_that_count_without_an_image_lower_macro_f1_alone():
    truth = np.repeat([0, 1], 10)
    found = scores(truth, truth, also=np.array([1, 2, 3, -1]))
    assert found["f1_macro"].value == 0.5
    assert found["f1_weighted"].value == found["accuracy"].value == 1


def test_one_answer_for_all_is_no_better_than_one_class(answers):
    truth = np.repeat(np.arange(4), 25)
    found = scores(truth, np.full(100, 3))
    assert found["accuracy"].value == 0.25
    assert found["f1_macro"].value == pytest.approx(0.4 / 4)


def test_answers_of_no_class_only_score_zero(answers):
    truth, _ = answers
    found = scores(truth, np.full(200, -1))
    assert {estimate.value for estimate in found.values()} == {0.0}
    recall = found["accuracy"].high
    assert 0 < recall < 0.03
    # A class without false alarms has an F1 of 2 r / (1 + r) for a recall r.
    for average in ("f1_macro", "f1_weighted"):
        assert found[average].high == pytest.approx(2 * recall / (1 + recall), rel=0.05)


def test_images_without_a_true_class_are_misses_in_every_score():
    # `agreement` has these images if the first answer of a network is not finite.
    truth, predicted = np.array([-1, -1, 0, 1]), np.array([-2, -2, 0, 1])
    assert all(estimate.value < 1 for estimate in scores(truth, predicted).values())


@pytest.mark.slow
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_bootstrap_is_that_of_images_resampled_within_each_class(answers, average):
    truth, predicted = answers
    rng = np.random.default_rng(11)
    classes = [np.flatnonzero(truth == k) for k in range(3)]
    slow = []
    for _ in range(1000):
        row = np.concatenate([rng.choice(images, len(images)) for images in classes])
        slow.append(_f1(truth[row], predicted[row], average))
    fast = bootstrap_f1(truth, predicted, average)
    assert fast.shape == (1000,)
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    # A quantile of 1,000 resamples is itself uncertain by about .003 here.
    assert np.quantile(fast, levels) == pytest.approx(np.quantile(slow, levels), abs=0.012)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_bootstrap_is_the_same_every_time_and_whatever_the_order(answers, average):
    truth, predicted = answers
    once = bootstrap_f1(truth, predicted, average)
    assert np.array_equal(once, bootstrap_f1(truth[::-1], predicted[::-1], average))
    assert not np.array_equal(once, bootstrap_f1(truth, predicted, average, seed=1))


def test_intervals_of_f1_hold_the_value_and_are_no_narrower_than_accuracys(answers):
    for found in (scores(*answers), scores(answers[0], answers[0])):
        width = found["accuracy"].high - found["accuracy"].low
        for estimate in found.values():
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        low = found["f1_weighted"].low
        assert found["f1_weighted"].high - low >= width - 1e-12


def test_scores_of_no_images_are_not_finite():
    nothing = np.array([], dtype=np.int64)
    assert not any(estimate.finite for estimate in scores(nothing, nothing).values())


def test_five_of_five_do_not_prove_perfection():
    right = np.arange(5)
    for estimate in scores(right % 2, right % 2).values():
        assert estimate.value == 1
        assert estimate.low < 0.6


def test_images_without_a_true_class_are_resampled_among_themselves():
    truth, predicted = np.array([-1] * 10 + [0, 1] * 5), np.array([0, -2] * 5 + [0, 1] * 5)
    found = bootstrap_f1(truth, predicted, "macro")
    # In every resample half of the images have a class; the others can only be false alarms.
    assert found.max() <= 0.5
    assert found.mean() == pytest.approx(0.5 * _f1(truth, predicted, "macro", [0, 1]), abs=0.01)
    for average in ("macro", "weighted"):
        nothing = scores(np.full(9, -1), np.full(9, 0))[f"f1_{average}"]
        assert (nothing.value, nothing.low) == (0, 0)
        assert 0.2 < nothing.high < 0.4


def test_images_without_a_true_class_count_in_the_interval_as_misses():
    truth, predicted = np.array([-1] * 20 + [0, 1] * 10), np.array([-2] * 20 + [0, 1] * 10)
    found = scores(truth, predicted)
    limits = pytest.approx((found["accuracy"].low, found["accuracy"].high))
    assert (found["f1_macro"].low, found["f1_macro"].high) == limits
    assert (found[WEIGHTED].low, found[WEIGHTED].high) == limits


def test_the_bootstrap_is_centred_on_the_value():
    truth = np.repeat([0, 1], [300, 4])
    predicted = np.where(np.arange(304) % 12 == 0, 1 - truth, truth)
    estimate = scores(truth, predicted)["f1_macro"]
    resampled = bootstrap_f1(truth, predicted, "macro")
    high = np.quantile(resampled, 0.975) - resampled.mean()
    assert abs(resampled.mean() - estimate.value) > 0.001
    assert estimate.high - estimate.value == pytest.approx(high)


@st.composite
def confusions(draw):
    """Truth and two models' answers: many classes, few images, some -1."""
    classes = draw(st.integers(1, 12))
    n = draw(st.integers(1, 40))
    column = st.lists(st.integers(-1, classes - 1), min_size=n, max_size=n).map(np.array)
    return draw(column), draw(column), draw(column)


@pytest.mark.slow
@given(confusions(), st.sampled_from(["macro", "weighted"]))
def test_every_interval_holds_its_value_and_keeps_its_bounds(confusion, average):
    truth, a, b = confusion
    for estimate in scores(truth, a).values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.high > estimate.low
    found = paired_f1_difference(truth, a, b, average)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low
    assert found == paired_f1_difference(truth, a, b, average)


def test_resamples_of_many_classes_of_two_images_do_not_all_score_below_the_value():
    """Resampling all images at once would lose classes here, and a lost class has an F1 of 0."""
    truth = np.repeat(np.arange(100), 2)
    predicted = np.where(np.arange(200) % 10 == 0, (truth + 1) % 100, truth)
    estimate = scores(truth, predicted)["f1_macro"]
    low, high = np.quantile(bootstrap_f1(truth, predicted, "macro"), [0.025, 0.975])
    assert low < estimate.value < high
    assert estimate.low < estimate.value - 0.03
    assert estimate.value + 0.02 < estimate.high
    assert estimate.high - estimate.low < 0.15


def test_a_small_class_that_is_all_right_leaves_macro_f1_uncertain():
    truth = np.repeat([0, 1], [300, 2])
    found = scores(truth, truth)
    assert found["accuracy"].low > 0.98
    assert found["f1_macro"].low < 0.75
    assert found["f1_weighted"].low == pytest.approx(found["accuracy"].low)
    paired = paired_f1_difference(truth, truth, truth, "macro")
    assert paired.low < -0.2 < 0.2 < paired.high


def test_the_paired_bootstrap_mirrors_and_narrows():
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, 300)
    a = np.where(rng.random(300) < 0.85, truth, rng.integers(0, 3, 300))
    b = np.where(rng.random(300) < 0.97, a, rng.integers(0, 3, 300))
    one = paired_f1_difference(truth, a, b, "macro")
    other = paired_f1_difference(truth, b, a, "macro")
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.003)
    alone = scores(truth, a)["f1_macro"]
    assert one.high - one.low < 0.75 * (alone.high - alone.low)
    by_accuracy = paired_difference(truth == a, truth == b)
    assert one.high - one.low > 0.9 * (by_accuracy.high - by_accuracy.low)


def _population(images, recalls):
    """Macro F1 if each class has its recall and its misses fall evenly on the other classes."""
    classes = len(images)
    matrix = np.repeat((1 - recalls)[:, None] / (classes - 1), classes, axis=1)
    np.fill_diagonal(matrix, recalls)
    matrix *= images[:, None]
    return float((2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1))).mean())


def _audit(random, truth, recalls, shared):
    """Answers of two models, which share their random number for the share `shared` of images."""
    n, classes = len(truth), len(recalls[0])
    luck = random.random(n)
    lucks = (luck, np.where(random.random(n) < shared, luck, random.random(n)))
    wrong = (truth + random.integers(1, classes, n)) % classes
    return [
        np.where(u < recall[truth], truth, wrong) for u, recall in zip(lucks, recalls, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "recall", "other", "shared"),
    [
        (np.full(10, 2), 0.9, 0.7, 0.5),
        (np.full(10, 5), 0.95, 0.95, 0.9),
        (np.full(10, 10), 0.8, 0.6, 0.0),
        (np.full(3, 30), 0.98, 0.9, 0.5),
        (np.array([150, 60, 20, 10, 5, 5]), 0.9, 0.8, 0.5),
    ],
    ids=["10x2", "10x5", "10x10", "3x30", "uneven"],
)
def test_f1_and_its_paired_difference_cover_the_truth(images, recall, other, shared):
    random, truth = np.random.default_rng(7), np.repeat(np.arange(len(images)), images)
    recalls = [np.full(len(images), r) for r in (recall, other)]
    real = [_population(images, r) for r in recalls]
    held = np.zeros(2)
    for _ in range(60):
        a, b = _audit(random, truth, recalls, shared)
        alone = scores(truth, a)["f1_macro"]
        paired = paired_f1_difference(truth, a, b, "macro")
        held += [
            alone.low <= real[0] <= alone.high,
            paired.low <= real[0] - real[1] <= paired.high,
        ]
    assert (held >= 0.9 * 60).all()
