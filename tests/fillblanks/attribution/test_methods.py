"""Maps of four methods: exact for additive models, and those of captum where it has the method."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from torch import nn

from fillblanks import Classifier, Plan, expected_fill, masks
from fillblanks.attribution.asking import all_answers, answers, blurred, probabilities_of
from fillblanks.attribution.blank_difference import blank_difference, blank_differences
from fillblanks.attribution.occlusion import occlusion
from fillblanks.attribution.pami import disc_count, discs, pami
from fillblanks.attribution.patch_means import patch_means
from fillblanks.attribution.sobol import designs, sobol, total_indices

WEIGHTS = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
LABELS = torch.tensor([0, 1, 0])


def additive(images):
    """Two answers, each a weighted sum of the pixels."""
    return torch.einsum("nchw,khw->nk", images, WEIGHTS)


def _summands(patch_size):
    """What each patch adds to the answer of the label, float64 (3, P)."""
    products = IMAGES[:, 0] * WEIGHTS[LABELS]
    return patch_means(products, patch_size) * patch_size**2


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
    return Classifier(nn.Sequential(*layers, nn.Linear(96, 5)).eval().double(), mean=0.4, std=0.3)


def test_the_blank_difference_of_a_sum_is_a_summand_minus_the_mean_of_the_others():
    maps = blank_difference(additive, IMAGES, LABELS, patch_size=2, draws=20_000, chunk=5000)
    summands = _summands(2)
    expected = summands - (summands.sum(1, keepdim=True) - summands) / 15
    found = patch_means(maps, 2)
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
    # The blanks of a draw are of one number, so the values of all patches sum to 0.
    assert found.sum(1).abs().max() < 0.05 * expected.abs().max()


def test_its_masks_are_those_of_a_fill_and_rejected_draws_count(net):
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(2)).double()
    indices, labels, draws = torch.tensor([7, 30]), torch.tensor([1, 4]), 40
    maps = blank_difference(
        probabilities_of(net), images, labels, patch_size=4, draws=draws, seed=5, indices=indices
    )
    rows = torch.arange(2).repeat_interleave(draws)
    drawn = masks.keys(5, indices[rows], torch.arange(draws).repeat(2), 9)
    blank = masks.blank_patches(drawn, masks.blank_count(0.25, 9))
    masked = images[rows] * ~masks.to_pixels(blank, 12, 12, 4)
    given = net(masked).softmax(1).gather(1, labels[rows, None])[:, 0].detach()
    for image in range(2):
        own = slice(image * draws, (image + 1) * draws)
        for patch in range(9):
            unseen, p = blank[own, patch], given[own]
            expected = p[~unseen].mean() - p[unseen].mean()
            found = masks.to_pixels(torch.eye(9)[patch][None], 12, 12, 4)[0, 0] == 1
            torch.testing.assert_close(maps[image][found], expected.expand(16))
    # The first draw of a fill of the same arguments has the first of these masks.
    fill = expected_fill(
        net, images, net.predict(images), patch_size=4, samples=1, max_draws=1, seed=5,
        indices=indices, plan=Plan(chunk=4),
    )  # fmt: skip
    assert torch.equal(fill.blank, masks.to_pixels(blank[[0, draws]], 12, 12, 4))


def test_all_classes_come_from_the_same_draws():
    every = blank_differences(additive, IMAGES, patch_size=2, draws=64, seed=3)
    assert every.shape == (3, 2, 8, 8)
    own = blank_difference(additive, IMAGES, LABELS, patch_size=2, draws=64, seed=3)
    torch.testing.assert_close(every[torch.arange(3), LABELS], own)


def test_occlusion_is_that_of_captum(net):
    images = torch.rand(4, 3, 12, 16, generator=torch.Generator().manual_seed(3)).double()
    labels = torch.tensor([0, 3, 4, 2])
    ask = probabilities_of(net)
    expected = Occlusion(ask).attribute(images, (3, 4, 4), (3, 2, 2), 0.0, labels)
    found = occlusion(ask, images, labels, size=4, stride=2, chunk=7)
    torch.testing.assert_close(found.float(), expected[:, 0].float())


def test_occlusion_side_by_side_is_captums_ablation_of_patches(net):
    images = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(4)).double()
    labels, ask = torch.tensor([0, 3]), probabilities_of(net)
    baseline = blurred(images)
    patch = masks.to_pixels(torch.arange(12)[None], 12, 16, 4)
    expected = FeatureAblation(ask).attribute(images, baseline, labels, feature_mask=patch)
    found = occlusion(ask, images, labels, size=4, stride=4, baseline=baseline)
    torch.testing.assert_close(found.float(), expected[:, 0].float())
    torch.testing.assert_close(
        patch_means(occlusion(additive, IMAGES, LABELS, size=2, stride=2), 2), _summands(2)
    )


def test_a_disc_that_keeps_the_whole_image_gives_its_answer_everywhere():
    maps = pami(additive, IMAGES, LABELS, radius=2, stride=0.5)
    whole = additive(IMAGES).gather(1, LABELS[:, None])[:, 0]
    torch.testing.assert_close(maps, whole[:, None, None].expand(3, 8, 8))


def test_discs_have_their_radius_and_pami_is_the_mean_over_them():
    kept = discs(20, 30, 0.2, 0.1)
    assert len(kept) == 10 * 15 == disc_count(20, 30, 0.1)
    areas = kept.sum((1, 2, 3)).double()
    assert areas.max() == 49  # points of a grid within 4 of a point: Gauss's circle problem
    given = torch.stack([additive(IMAGES * one) for one in discs(8, 8)])[:, range(3), LABELS]
    covers = discs(8, 8)[:, 0].double()
    expected = torch.einsum("dn,dhw->nhw", given, covers) / covers.sum(0)
    torch.testing.assert_close(pami(additive, IMAGES, LABELS, chunk=11), expected)
    with pytest.raises(ValueError, match="larger radius"):
        discs(20, 20, 0.1, 0.4)


def _ishigami(points):
    x, y, z = (2 * np.pi * points - np.pi).T
    return torch.from_numpy(np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x))


def _changed(first, second):
    """The first design with each column in turn from the second: (P, draws, P)."""
    found = first.repeat(first.shape[1], 1, 1)
    for column in range(first.shape[1]):
        found[column, :, column] = second[:, column]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_total_indices_of_the_ishigami_function(seed):
    first, second = designs(4096, 3, seed)
    given = _ishigami(first.numpy())[None]
    changed = torch.stack([_ishigami(one.numpy()) for one in _changed(first, second)])[None]
    found = total_indices(given, changed)[0]
    # Ishigami and Homma 1990, in closed form.
    assert found.tolist() == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.005)


def test_total_indices_of_a_weighted_sum_are_the_shares_of_squared_weights():
    weights = torch.arange(1, 9).double()
    first, second = designs(1024, 8, 0)
    found = total_indices((first @ weights)[None], (_changed(first, second) @ weights)[None])[0]
    expected = weights**2 / (weights**2).sum()
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_sobol_maps_of_an_additive_model_are_the_shares_of_squared_summands():
    maps = sobol(additive, IMAGES, LABELS, patch_size=2, draws=1024, chunk=4096)
    squares = _summands(2) ** 2
    expected = squares / squares.sum(1, keepdim=True)
    assert (patch_means(maps, 2) - expected).abs().max() < 0.02
    assert (maps >= 0).all()


def test_sobol_takes_powers_of_two_and_a_constant_has_no_share():
    with pytest.raises(ValueError, match="power of two"):
        sobol(additive, IMAGES, LABELS, patch_size=2, draws=12)
    constant = sobol(lambda x: torch.ones(len(x), 2), IMAGES, LABELS, patch_size=4, draws=4)
    assert (constant == 0).all()


@pytest.mark.parametrize(
    "method",
    [
        lambda **k: blank_difference(additive, IMAGES, LABELS, patch_size=3, draws=20, **k),
        lambda **k: occlusion(additive, IMAGES, LABELS, size=3, stride=2, **k),
        lambda **k: pami(additive, IMAGES, LABELS, **k),
        lambda **k: sobol(additive, IMAGES, LABELS, patch_size=3, draws=4, **k),
    ],
    ids=["blank_difference", "occlusion", "pami", "sobol"],
)
def test_chunks_change_nothing_and_the_image_itself_as_baseline_hides_nothing(method):
    torch.testing.assert_close(method(chunk=1), method(chunk=256), rtol=1e-12, atol=1e-12)
    hidden = method(baseline=IMAGES)
    assert hidden.flatten(1).std(1).max() < 1e-12


def test_an_answer_that_is_no_number_is_no_class():
    class Breaks(nn.Module):
        def forward(self, x):
            sums = x.sum((1, 2, 3))
            logits = torch.stack([sums, -sums], 1)
            return torch.where((sums < 5)[:, None], torch.nan, logits)

    ask = probabilities_of(Classifier(Breaks()))
    images = torch.ones(2, 1, 4, 4)
    black = answers(
        ask, images, torch.tensor([0, 1]), views=2,
        keep=lambda rows, numbers: numbers[:, None, None, None].expand(-1, 1, 4, 4),
    )  # fmt: skip
    assert black[:, 0].tolist() == [0, 0]
    assert black[0, 1] == 1
    every = all_answers(ask, images, views=1, keep=lambda rows, _: torch.ones(len(rows), 1, 4, 4))
    torch.testing.assert_close(every.sum(2), torch.ones(2, 1).double())


def test_blurring_keeps_a_plain_image_and_the_mean_of_a_window():
    plain = torch.full((1, 3, 16, 20), 0.3)
    torch.testing.assert_close(blurred(plain), plain)
    image = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(blurred(image)[0, 0, 8, 8], image[0, 0, 6:11, 6:11].mean())
