"""Learned gates: a planted patch comes first, the constraint holds, and states are of patches."""

import pytest
import torch
import torchvision
from bright import PATCH, Bright
from torch import nn

from fillblanks import Classifier
from fillblanks.attribution.gates import (
    log_open_probability,
    open_probability,
    sampled_gate,
)
from fillblanks.attribution.patch_means import patch_means, random_patches
from fillblanks.attribution.sufficient import fewest_patches, log_probabilities_of
from fillblanks.concepts.graphs import NotCuttable
from fillblanks.concepts.learned_gates import BATCH, learned_gates
from fillblanks.concepts.states import states_of
from fillblanks.masks import to_pixels

SIDE = 24
PATCHES = (SIDE // PATCH) ** 2
MOST = 0.1
BLACK = torch.zeros(1, 1, 1, 1)


def _images(count, seed):
    """Dark noise, with one bright patch at a random place: its number is given too."""
    drawn = torch.Generator().manual_seed(seed)
    images = 0.4 * torch.rand(count, 1, SIDE, SIDE, generator=drawn)
    place = torch.randint(PATCHES, (count,), generator=drawn)
    marked = to_pixels(nn.functional.one_hot(place, PATCHES), SIDE, SIDE, PATCH).bool()
    return torch.where(marked, 1.0, images), place


def _learned(classifier, images, steps, seed=0, most=MOST):
    with classifier.steady():
        return learned_gates(
            states_of(classifier, images[:32], PATCH),
            lambda rows: images[rows],
            len(images),
            blank=BLACK,
            patch_size=PATCH,
            most_divergence=most,
            seed=seed,
            steps=steps,
        )


@pytest.fixture(scope="module")
def bright():
    classifier = Classifier(Bright().eval())
    return classifier, _learned(classifier, _images(200, 0)[0], 150)


@pytest.mark.slow
def test_a_planted_patch_comes_first_in_images_that_gates_have_not_seen(bright):
    classifier, gates = bright
    images, place = _images(50, 1)
    values = gates.values(images)
    assert (values.argmax(1) == place).all()

    def fewest(values):
        found = fewest_patches(
            log_probabilities_of(classifier),
            images,
            values,
            blank=BLACK,
            patch_size=PATCH,
            most_divergence=MOST,
        )
        return found.fewest.double().mean()

    assert fewest(values) == 1
    assert fewest(random_patches(0, torch.arange(50), PATCHES)) > PATCHES / 3


def test_the_share_of_open_patches_falls_and_the_divergence_stays_near_its_bound(bright):
    _, gates = bright
    assert gates.open[:10].mean() > 0.6
    assert gates.open[-30:].mean() < 0.2 < gates.open[30:60].mean()
    assert gates.divergence[-30:].mean() < MOST
    assert (gates.multiplier >= 0).all()


@pytest.mark.slow
def test_a_seed_decides_the_gates_and_a_batch_does_not(bright):
    classifier, _ = bright
    images, _ = _images(200, 0)
    one, again = (_learned(classifier, images, 5) for _ in range(2))
    other = _learned(classifier, images, 5, seed=1)
    some = images[:6]
    assert torch.equal(one.values(some), again.values(some))
    assert not torch.allclose(one.values(some), other.values(some))
    assert torch.allclose(one.values(some, chunk=1), one.values(some), rtol=1e-5)


def test_training_asks_for_no_other_images_and_leaves_the_network_as_it_was(bright):
    classifier, _ = bright
    images, asked = _images(40, 0)[0], []

    def of(rows):
        asked.extend(rows.tolist())
        return images[rows]

    before = {name: value.clone() for name, value in classifier.net.state_dict().items()}
    with classifier.steady():
        states = states_of(classifier, images[:8], PATCH)
        given = {"blank": BLACK, "patch_size": PATCH, "most_divergence": MOST, "seed": 0}
        learned_gates(states, of, 10, steps=4, **given)
    assert len(asked) == 4 * BATCH
    assert set(asked) <= set(range(10))
    after = classifier.net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


class Mute(Bright):
    """No answer for an image without a bright patch."""

    def forward(self, x):
        logits = super().forward(x)
        return logits.where(logits[:, 1:] > 4, torch.nan)


@pytest.mark.slow
def test_steps_with_answers_that_are_not_finite_leave_finite_gates():
    images, _ = _images(64, 0)
    images[32:] = images[32:].clamp(max=0.4)
    found = _learned(Classifier(Mute().eval()), images, 6)
    assert found.divergence.isnan().any()
    assert found.values(images).isfinite().all()


def test_states_of_a_map_are_means_of_the_values_inside_and_the_place():
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 6, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * 64, 3)),
    )
    classifier = Classifier(net.eval(), mean=0.4, std=0.2)
    images = torch.rand(5, 3, 16, 16)
    with classifier.steady():
        states = states_of(classifier, images, 4)
        logits, seen = states(images)
    assert torch.allclose(logits, classifier(images))
    assert states.widths == (5 + 2, 6)
    inside = (images - 0.4) / 0.2
    for layer, (two, own) in zip(
        states.layers, ((net[:2], seen[0]), (net[2:4], seen[1])), strict=True
    ):
        inside = two(inside)
        side = 16 // inside.shape[2]
        wide = inside.repeat_interleave(side, 2).repeat_interleave(side, 3).detach()
        channels = wide.shape[1]
        wanted = torch.stack([patch_means(wide[:, one], 4) for one in range(channels)], 2).float()
        wanted = (wanted - wanted.mean((0, 1))) / wanted.flatten(0, 1).std(0)
        assert torch.allclose(own[..., :channels], wanted, atol=1e-4)
        assert layer.cut.layout == "channels_first"
    assert seen[0][:, [0, 3, 15], 5:].unique(dim=0).tolist() == [[[-1, -1], [-1, 1], [1, 1]]]


@pytest.mark.slow
def test_places_that_patches_cut_count_by_their_pixels():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 4, 4), nn.Softplus(), nn.Flatten(), nn.Linear(2 * 9, 2))
    classifier = Classifier(net.eval())
    images = torch.rand(4, 1, 12, 12)
    with classifier.steady():
        (layer,) = states_of(classifier, images, 5).layers
    assert (layer.cut.rows, layer.cut.columns) == (3, 3)
    assert layer.shares.shape == (9, 9)
    assert torch.allclose(layer.shares.sum(1), torch.ones(9))
    # The first patch has 4 x 4 of its 25 pixels in the first place, 4 x 1 in the next.
    assert torch.allclose(layer.shares[0, [0, 1, 3, 4]], torch.tensor([16, 4, 4, 1]) / 25)


@pytest.mark.soak
def test_a_transformer_has_its_tokens_at_the_embedding_and_at_each_sum():
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(16, 4, 3, 2, 8, 16, num_classes=4)
    nn.init.normal_(net.heads.head.weight, std=0.1)  # torchvision's is zero
    classifier = Classifier(net.eval())
    images = torch.rand(4, 3, 16, 16)
    with classifier.steady():
        states = states_of(classifier, images, 4)
        logits, seen = states(images)
    assert states.layers[-1].cut.layout == "tokens"
    # The embedding, and two sums of each block but the last.
    assert [one.shape for one in seen] == [(4, 16, 8)] * 5
    assert torch.allclose(logits, classifier(images), atol=1e-6)
    tokens = net._process_input(images) + net.encoder.pos_embedding[:, 1:]
    wanted = (tokens - states.layers[0].mean) / states.layers[0].deviation
    assert torch.allclose(seen[0], wanted, atol=1e-5)
    found = _learned(classifier, images, 3)
    assert found.values(images).shape == (4, 16)


class Branching(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x.mean((2, 3)) @ x.new_ones(1, 2)
        return x.amax((2, 3)) @ x.new_ones(1, 2)


def test_a_network_that_cannot_be_exported_is_refused():
    with pytest.raises(NotCuttable, match=r"Expected a network that torch.export takes"):
        states_of(Classifier(Branching()), _images(4, 0)[0], PATCH)


def test_sampled_gates_have_the_slope_of_their_probability():
    logits = torch.linspace(-6, 6, 13).double().requires_grad_(True)
    noise = torch.full_like(logits, 0.5)
    (slope,) = torch.autograd.grad(sampled_gate(logits, noise).sum(), logits)
    (wanted,) = torch.autograd.grad(open_probability(logits).sum(), logits)
    assert torch.equal(slope, wanted)
    assert torch.allclose(log_open_probability(logits).exp(), open_probability(logits))
    assert log_open_probability(torch.tensor([-1000.0])).isfinite().all()


@pytest.mark.slow
def test_a_broken_constraint_raises_the_multiplier_and_a_kept_one_lowers_it(bright):
    classifier, _ = bright
    images, _ = _images(64, 0)
    broken = _learned(classifier, images, 12, most=-1.0).multiplier
    kept = _learned(classifier, images, 12, most=50.0).multiplier
    assert (broken.diff() > 0).all()
    assert (kept.diff() < 0).all()
