"""Windows cover an image, and the favourite one is that of captum's saliency and occlusion."""

import pytest
import torch
from captum.attr import Occlusion, Saliency
from torch import nn

from fillblanks import Classifier
from fillblanks.attribution.favourites import favourite_windows
from fillblanks.attribution.pasting import with_colours, with_windows
from fillblanks.attribution.windows import inside, window_means, window_places


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 5)
    )
    return Classifier(net.eval().double(), mean=0.4, std=0.3)


@pytest.fixture(scope="module")
def images():
    return torch.rand(7, 3, 13, 17, generator=torch.Generator().manual_seed(1)).double()


def _log_odds(classifier, images):
    return torch.logit(classifier(images).softmax(1))


LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1])


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"), [(13, 17, 4, 3), (8, 8, 8, 1), (9, 5, 2, 7)]
)
def test_every_pixel_is_in_a_window_and_no_window_leaves_the_image(height, width, size, stride):
    places = window_places(height, width, size, stride)
    windows = inside(height, width, places, size)
    assert windows.sum((1, 2, 3)).tolist() == [size * size] * len(places)
    assert len(places.unique(dim=0)) == len(places)
    if stride <= size:
        assert windows.any(0).all()
    assert windows[-1, 0, -1, -1]


def test_the_mean_in_a_window_is_that_of_its_pixels():
    values = torch.rand(3, 13, 17)
    places = window_places(13, 17, 4, 3)
    means = window_means(values, places, 4)
    windows = inside(13, 17, places, 4)[:, 0]
    for image in range(3):
        expected = torch.stack([values[image][window].mean() for window in windows])
        torch.testing.assert_close(means[image], expected)


@pytest.mark.parametrize(
    ("size", "stride", "words"),
    [(14, 1, "1 to 13 pixels"), (0, 1, "1 to 13 pixels"), (3, 0, "stride")],
)
def test_windows_that_cannot_be_are_refused(size, stride, words):
    with pytest.raises(ValueError, match=words):
        window_places(13, 17, size, stride)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_by_gradient_it_is_the_window_of_captums_largest_product(classifier, images, chunk):
    found = favourite_windows(classifier, images, LABELS, size=4, stride=3, chunk=chunk)
    gradient = Saliency(lambda x: _log_odds(classifier, x)).attribute(images, LABELS, abs=False)
    product = gradient * (images - images.mean((0, 2, 3), keepdim=True))
    places = window_places(13, 17, 4, 3)
    means = window_means(product.sum(1), places, 4)
    assert found.tolist() == places[means.argmax(1)].tolist()


def test_for_a_linear_network_the_gradient_gives_the_exact_loss():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).double()
    images = torch.rand(20, 1, 8, 8).double()
    labels = torch.zeros(20, dtype=torch.int64)
    by_gradient = favourite_windows(Classifier(net), images, labels, size=4, stride=4)
    weight = (net[1].weight[0] - net[1].weight[1]).view(1, 8, 8)
    lost = weight * (images[:, 0] - images.mean())
    places = window_places(8, 8, 4, 4)
    assert by_gradient.tolist() == places[window_means(lost, places, 4).argmax(1)].tolist()


@pytest.mark.parametrize("chunk", [2, 64])
def test_by_occlusion_it_is_the_window_of_captums_largest_loss(classifier, images, chunk):
    # Side by side, since captum mixes the losses of windows that overlap.
    images, windows = images[:, :, :12, :16], (3, 4, 4)
    found = favourite_windows(
        classifier, images, LABELS, size=4, stride=4, chooser="occlusion", chunk=chunk
    )
    lost = Occlusion(lambda x: _log_odds(classifier, x)).attribute(
        images, windows, windows, 0.0, LABELS
    )
    places = window_places(12, 16, 4, 4)
    best = window_means(lost[:, 0], places, 4).argmax(1)
    assert found.tolist() == places[best].tolist()
    assert len(best.unique()) > 1


def test_a_network_that_is_sure_of_a_class_has_a_favourite_too():
    class Sure(nn.Module):
        def forward(self, x):
            return torch.stack([1000 * x[:, 0, 4:, 4:].sum((1, 2)), x[:, 0].sum((1, 2))], 1)

    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 2, 2] = image[0, 0, 5, 5] = 1
    for chooser in ("gradient", "occlusion"):
        found = favourite_windows(
            Classifier(Sure()), image, torch.tensor([0]),
            size=4, stride=4, chooser=chooser,
        )  # fmt: skip
        assert found.tolist() == [[4, 4]]


def test_a_score_that_is_no_number_is_the_lowest():
    class Breaks(nn.Module):
        def forward(self, x):
            broken = x[:, 0, :2, :2].sum((1, 2)) == 0
            logits = torch.stack([x[:, 0, 2:, 2:].sum((1, 2)), x[:, 0, 0, 0]], 1)
            return torch.where(broken[:, None], torch.nan, logits)

    found = favourite_windows(
        Classifier(Breaks()),
        torch.ones(1, 1, 4, 4),
        torch.tensor([0]),
        size=2,
        stride=2,
        chooser="occlusion",
    )
    assert found.tolist() == [[2, 2]]


def test_a_pasted_window_is_the_donors_and_the_rest_stays(images):
    others = 1 - images
    places = torch.tensor([[0, 0], [9, 13], [4, 5], [1, 2], [3, 3], [8, 0], [0, 12]])
    pasted = with_windows(others, images, places, 4)
    for i, (row, column) in enumerate(places.tolist()):
        window = (slice(None), slice(row, row + 4), slice(column, column + 4))
        assert torch.equal(pasted[i][window], images[i][window])
        rest = pasted[i].clone()
        rest[window] = others[i][window]
        assert torch.equal(rest, others[i])


def test_colours_are_the_means_of_the_donors_if_nothing_is_cut(images):
    others = 0.4 + 0.2 * images.flip(0)
    coloured = with_colours(others, 0.4 + 0.2 * images)
    torch.testing.assert_close(coloured.mean((2, 3)), (0.4 + 0.2 * images).mean((2, 3)))
    moved = coloured - others
    torch.testing.assert_close(moved, moved.mean((2, 3), keepdim=True).expand_as(moved))
    assert with_colours(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)).max() == 0
    extreme = with_colours(torch.tensor([[[[0.0, 1.0]]]]), torch.full((1, 1, 1, 2), 0.9))
    torch.testing.assert_close(extreme, torch.tensor([[[[0.4, 1.0]]]]))
