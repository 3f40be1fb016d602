"""Draws stop at the first look whose halves agree; stability is that of a plain loop."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

from fillblanks import Classifier, Fill, Plan, expected_fill
from fillblanks.fills.averages import Averages
from fillblanks.fills.sampling import FIRST_LOOK, looks

SHAPE, PATCH, BLANK_COUNT = (9, 11), 2, 12  # round(0.4 * 30) of the 5 x 6 patches
INDICES = torch.tensor([3, 0, 70_000, 1])
SETTINGS = {"mask_ratio": 0.4, "patch_size": PATCH, "seed": 9, "indices": INDICES}
TOLERANCE = 0.198  # images reach this at different looks, and one image never
MANY = {**SETTINGS, "samples": 192, "max_draws": 480}
FEW = {**SETTINGS, "samples": 12, "max_draws": 30}


@pytest.fixture(scope="module")
def images(pictures) -> Tensor:
    return pictures(4, 1, *SHAPE)


@pytest.fixture(scope="module")
def classifier(network) -> Classifier:
    return Classifier(network(1, *SHAPE), mean=0.5, std=0.1)


@pytest.fixture(scope="module")
def easy() -> Classifier:
    """Accepts every mask, with the same update for each mask, up to its length."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(99, 2)).double()
    net[1].weight.data = 0.01 * (torch.arange(2)[:, None] * (torch.arange(99) % 2 - 0.5)).double()
    net[1].bias.data = torch.tensor([0.0, 3.0]).double()
    return Classifier(net)


@pytest.fixture(scope="module")
def whole(classifier, images) -> Fill:
    """The fill of all images at once, each done at its own look."""
    return expected_fill(classifier, images, tolerance=TOLERANCE, **MANY)


def same_draws(one, other):
    for name in ("accepted", "drawn", "label", "blank"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for name in ("update", "standard_error", "stability", "prototype"):
        torch.testing.assert_close(
            getattr(one, name), getattr(other, name), rtol=0, atol=1e-9, equal_nan=True
        )


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, [1]),
        (64, [64]),
        (65, [64, 65]),
        (96, [64, 96]),
        (129, [64, 96, 128, 129]),
        (500, [64, 96, 128, 192, 256, 384, 500]),
    ],
)
def test_looks_are_64_96_128_192_and_so_on_up_to_samples(samples, expected):
    assert list(looks(samples)) == expected


@given(samples=st.integers(1, 1_000_000))
def test_looks_grow_by_half_at_most_and_end_at_samples(samples):
    found = list(looks(samples))
    assert found[0] == min(samples, FIRST_LOOK)
    assert found[-1] == samples
    assert all(a < b <= 1.5 * a for a, b in pairwise(found))


def test_an_image_is_done_at_the_first_look_at_which_its_halves_overlap_enough(
    classifier, images, whole
):
    expected = torch.full((4,), -1)
    for look in looks(MANY["samples"]):
        then = expected_fill(classifier, images, **{**MANY, "samples": look})
        done = (expected < 0) & (then.stability >= 1 - TOLERANCE)
        expected[done] = look
        for i in done.nonzero()[:, 0].tolist():
            one = slice(i, i + 1)
            same_draws(
                *(
                    replace(some, **{name: rows[one] for name, rows in some.tensors.items()})
                    for some in (whole, then)
                )
            )
    assert whole.accepted[expected > 0].tolist() == expected[expected > 0].tolist()
    assert whole.accepted[expected < 0].tolist() == then.accepted[expected < 0].tolist()
    assert len(expected.unique()) > 2
    assert (expected < 0).any()


@pytest.mark.parametrize("plan", [Plan(1), Plan(7), Plan(5, 40), Plan(64, 3), Plan(512)], ids=str)
def test_no_chunk_or_block_changes_when_an_image_is_done(classifier, images, whole, plan):
    same_draws(expected_fill(classifier, images, tolerance=TOLERANCE, plan=plan, **MANY), whole)


def test_an_image_is_done_alone_when_it_is_done_among_others(classifier, images, whole):
    for i in range(4):
        one = slice(i, i + 1)
        alone = expected_fill(
            classifier, images[one], tolerance=TOLERANCE, **{**MANY, "indices": INDICES[one]}
        )
        same_draws(
            alone, replace(whole, **{name: rows[one] for name, rows in whole.tensors.items()})
        )


def test_an_easy_network_is_done_at_the_first_look(easy, images):
    fill = expected_fill(easy, images, tolerance=0.05, **MANY)
    assert fill.accepted.tolist() == fill.drawn.tolist() == [FIRST_LOOK] * 4
    assert (fill.stability >= 0.95).all()


def test_tolerance_0_goes_on_to_samples_unless_the_halves_are_equal(easy, images):
    assert expected_fill(easy, images, tolerance=0, **MANY).accepted.tolist() == [FIRST_LOOK] * 4
    grey = expected_fill(easy, images, tolerance=0, normalise="none", binarise=None, **MANY)
    assert grey.accepted.tolist() == [MANY["samples"]] * 4
    assert (grey.stability < 1).all()


def test_a_hard_network_goes_on_to_max_draws(classifier, images):
    fill = expected_fill(classifier, images, tolerance=0.001, **{**MANY, "max_draws": 301})
    full = expected_fill(classifier, images, **{**MANY, "max_draws": 301})
    same_draws(fill, full)
    assert (fill.drawn == 301).any()


def test_fewer_samples_than_a_first_look_are_all_drawn(easy, images):
    fill = expected_fill(easy, images, tolerance=0.9, **FEW)
    assert fill.accepted.tolist() == [FEW["samples"]] * 4


def plain_halves(plain, net, image, index, average) -> tuple[list[np.ndarray], int]:
    """The averages over even and over odd draws, one draw at a time."""
    updates: list[list[np.ndarray]] = [[], []]
    reference = net((image[None] - 0.5) / 0.1).argmax(1)
    drawn = 0
    while drawn < FEW["max_draws"] and sum(map(len, updates)) < FEW["samples"]:
        blank = plain.blank(SETTINGS["seed"], index, drawn, SHAPE, PATCH, BLANK_COUNT)
        masked = torch.where(blank, 0.0, image).requires_grad_()
        logits = net((masked[None] - 0.5) / 0.1)
        if logits.argmax(1) == reference:
            (update,) = torch.autograd.grad(logits.log_softmax(1)[0, reference].sum(), masked)
            outside = {"per_blank": torch.nan, "masked": 0.0, "raw": update}[average]
            updates[drawn % 2].append(torch.where(blank, update, outside).numpy())
        drawn += 1
    assert min(map(len, updates)) > 1
    return [np.nan_to_num(np.nanmean(half, axis=0)) for half in updates], sum(map(len, updates))


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("average", ["per_blank", "masked", "raw"])
@pytest.mark.parametrize("binarise", [0.1, 0.5, None])
def test_stability_is_the_overlap_of_a_plain_loop_over_even_and_odd_draws(
    classifier, images, plain, average, binarise
):
    fill = expected_fill(classifier, images, average=average, binarise=binarise, **FEW)
    net = copy.deepcopy(classifier.net).eval()
    for i, index in enumerate(INDICES.tolist()):
        halves, accepted = plain_halves(plain, net, images[i], index, average)
        assert fill.accepted[i] == accepted
        even, odd = (half.clip(min=0).ravel() / half.max() for half in halves)
        if binarise is None:
            expected = np.minimum(even, odd).sum() / np.maximum(even, odd).sum()
        else:
            expected = jaccard_score(even > binarise, odd > binarise)
        assert fill.stability[i].item() == pytest.approx(expected, abs=1e-9)
    assert fill.stability.dtype == torch.float64


def test_stability_is_nan_where_fewer_than_two_draws_were_accepted(classifier, images):
    one = expected_fill(classifier, images, samples=1, **SETTINGS)
    assert one.accepted.max() == 1
    assert one.stability.isnan().all()
    never = one.label.clone()
    never[2] = (never[2] + 1) % 4
    fill = expected_fill(
        classifier, images, never, samples=2, max_draws=2, tolerance=0.5, **SETTINGS
    )
    assert torch.equal(fill.stability.isnan(), fill.accepted < 2)
    assert 0 < fill.stability.isnan().sum() < 4


@pytest.mark.parametrize("average", ["per_blank", "masked", "raw"])
def test_halves_are_the_averages_of_each_half_alone(average, pictures):
    updates = pictures(8, 3, *SHAPE) - 0.5
    patches = pictures(8, 1, 1, 30).flatten(1) < 0.4
    blank = patches.view(8, 1, 5, 6).repeat_interleave(2, 2).repeat_interleave(2, 3)
    blank = blank[:, :, :9, :11].double()
    rows, odd = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 0, 1, 1, 1])

    def sums(kept: np.ndarray) -> Averages:
        made = Averages(updates[:3], 30, PATCH, average)
        made.add(rows[kept], odd[kept], updates[kept], patches[kept], blank[kept])
        return made

    both = sums(odd >= 0).halves()
    for half in (0, 1):
        torch.testing.assert_close(both[half], sums(odd == half).mean(), rtol=0, atol=1e-15)
        assert (both[half][2] == 0).all()


@pytest.mark.parametrize("tolerance", [-0.1, 1, 1.5, float("nan")])
def test_a_tolerance_outside_0_to_1_is_refused(classifier, images, tolerance):
    with pytest.raises(ValueError, match=r"Expected tolerance in \[0, 1\), got"):
        expected_fill(classifier, images, tolerance=tolerance, **FEW)
