"""Bounds are never above what a network does, as exact as they can be, and said to be no more."""

import itertools

import pytest
import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.bounds.attack import margins_of, pgd, random_fills
from fillblanks.bounds.crown import lower_bounds
from fillblanks.bounds.interval import Bounds
from fillblanks.bounds.prover import Prover, box_of, margin_rows
from fillblanks.bounds.reading import NotBounded, program_of

NETS = ("plain", "normed", "pooled", "residual", "axes")


def _of_pixels(net, mean=0.0, std=1.0, dtype=torch.float64):
    return Classifier(net.to(dtype).eval(), mean=mean, std=std)


@pytest.mark.parametrize("name", NETS)
def test_bounds_are_in_their_order(nets, provers, cases, name):
    classifier, prover = nets[name], provers[name]
    given = cases(classifier, count=3)
    sampled = random_fills(classifier, given, tries=60)
    found = pgd(classifier, given, steps=10, restarts=3, start=sampled)
    for row in range(len(given)):
        bound = prover.margin(given.images[row], given.blanks[row], int(given.answers[row]))
        best = prover.margin(given.images[row], given.blanks[row], int(given.answers[row]), steps=5)
        assert bound.ibp <= bound.crown == bound.best
        assert best.best >= bound.best
        assert best.best <= found.margins[row] <= sampled.margins[row]


@pytest.mark.parametrize("name", NETS)
def test_the_values_of_every_fill_are_in_the_bounds_of_every_step(nets, provers, cases, name):
    classifier = nets[name]
    given = cases(classifier, count=1, side=5)
    program = provers[name].program
    with torch.no_grad():
        bounds = Bounds(program, box_of(classifier, given.images[0], given.blanks[0]))
        low, high = bounds.intervals[-1]
        logits = classifier(given.filled(torch.rand(500, 2, 8, 8)))
        rows = torch.eye(3, dtype=torch.float64)
        last = len(program.steps) - 1
        lower, upper = lower_bounds(bounds, last, rows), -lower_bounds(bounds, last, -rows)
    assert (low <= logits).all()
    assert (logits <= high).all()
    assert (lower <= logits).all()
    assert (logits <= upper).all()


def test_of_a_linear_network_the_bound_is_the_smallest_margin():
    net = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.AvgPool2d(2), nn.Flatten())
    net.append(nn.Linear(12, 4))
    classifier = _of_pixels(net, mean=0.3, std=0.4)
    image, blank = torch.rand(1, 6, 6).double(), torch.zeros(6, 6, dtype=torch.bool)
    blank[1:4, 2:5] = True
    answer = int(classifier.predict(image[None]))
    with torch.no_grad():
        zero = classifier(torch.zeros(1, 1, 6, 6).double())
        slopes = classifier(torch.eye(36).double().view(36, 1, 6, 6)) - zero
        margins = margin_rows(4, answer) @ slopes.T  # (3, 36)
        fixed = torch.where(blank, 0.0, image[0]).flatten()
        least = margin_rows(4, answer) @ zero[0] + margins @ fixed
        least += margins.clamp(max=0)[:, blank.flatten()].sum(1)
    bound = Prover(classifier, image[None].repeat(2, 1, 1, 1)).margin(image, blank, answer)
    assert bound.crown == pytest.approx(float(least.min()), abs=1e-9)
    assert bound.crown <= least.min()
    assert bound.ibp <= bound.crown


@pytest.mark.slow
def test_of_a_tiny_network_no_fill_of_a_fine_grid_is_below_the_bound():
    grid = torch.linspace(0, 1, 41)
    fills = torch.tensor(list(itertools.product(grid.tolist(), repeat=2))).double()
    gaps = []
    for seed in range(4):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        classifier = _of_pixels(net)
        image = torch.rand(1, 2, 2).double()
        blank = torch.tensor([[True, False], [False, True]])
        images = image.repeat(len(fills), 1, 1, 1)
        images[:, 0, blank] = fills
        answer = int(classifier.predict(image[None]))
        with torch.no_grad():
            margins = margins_of(classifier(images), torch.full((len(fills),), answer))
        prover = Prover(classifier, images[:2])
        bound = prover.margin(image, blank, answer, steps=20)
        assert bound.best <= margins.min()
        gaps.append(margins.min() - bound.best)
    assert min(gaps) < 0.05, "bounds that are never near the truth are worth nothing"


@pytest.mark.parametrize("share", [0.5, 0.99, 0.9999])
def test_a_fault_in_one_corner_of_the_blank_is_never_proven_away(share):
    torch.manual_seed(0)
    corner = (torch.rand(9) < 0.5).double()

    class Hidden(nn.Module):
        """Answers 0, but 1 for fills near one corner of the cube of all fills."""

        def __init__(self):
            super().__init__()
            self.near = nn.Linear(36, 1).double()
            with torch.no_grad():
                self.near.weight.zero_()
                inside = torch.zeros(6, 6, dtype=torch.bool)
                inside[1:4, 1:4] = True
                self.near.weight[0, inside.flatten()] = 2 * corner - 1
                self.near.bias.fill_(-float(corner.sum()) + 1 - share)

        def forward(self, x):
            alarm = self.near(x.flatten(1)).relu() * 1e6
            return torch.cat([0 * alarm + 1, alarm], 1)

    classifier = Classifier(Hidden().eval())
    image, blank = torch.full((1, 6, 6), 0.5), torch.zeros(6, 6, dtype=torch.bool)
    blank[1:4, 1:4] = True
    prover = Prover(classifier, image[None].repeat(2, 1, 1, 1))
    assert not prover.margin(image, blank, 0, steps=20).best > 0
    elsewhere = torch.zeros(6, 6, dtype=torch.bool)
    elsewhere[5, 5] = True
    assert prover.margin(image, elsewhere, 0).best > 0


def test_rounding_of_the_network_is_part_of_the_bound():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    with torch.no_grad():
        net[1].weight.mul_(1e4)
        net[3].weight[:, ::2] = -net[3].weight[:, 1::2]  # sums that cancel
        net[1].weight[::2] = net[1].weight[1::2]
        net[1].bias[::2] = net[1].bias[1::2]
        net[3].bias.copy_(torch.tensor([1e-4, 0.0]))
    classifier = _of_pixels(net, dtype=torch.float32)
    image, nothing = torch.rand(1, 8, 8), torch.zeros(8, 8, dtype=torch.bool)
    with torch.no_grad():
        exact = _of_pixels(net, dtype=torch.float64)(image[None].double())
    net.float()
    assert (exact[0, 0] - exact[0, 1]).item() == pytest.approx(1e-4, rel=1e-3)
    prover = Prover(classifier, image[None].repeat(2, 1, 1, 1))
    assert not prover.margin(image, nothing, 0).best > 0
    doubled = Prover(_of_pixels(net, dtype=torch.float64), image[None].repeat(2, 1, 1, 1))
    assert doubled.margin(image, nothing, 0).best == pytest.approx(1e-4, rel=1e-3)


def test_any_slope_below_gives_a_bound(nets, provers, cases):
    classifier, prover = nets["normed"], provers["normed"]
    given = cases(classifier, count=2, side=6)
    with torch.no_grad():
        bounds = Bounds(prover.program, box_of(classifier, given.images[0], given.blanks[0]))
        least = random_fills(classifier, given, tries=200).margins[0]
        rows, last = margin_rows(3, int(given.answers[0])), len(prover.program.steps) - 1
        for _ in range(20):
            slopes = {
                number: 3 * torch.rand(2, *shape)[:1].double() - 1
                for number, shape in enumerate(prover.program.shapes)
            }
            assert lower_bounds(bounds, last, rows, slopes).min() <= least


def test_an_exported_network_has_the_bounds_of_its_module(nets, provers, cases):
    classifier = nets["residual"]
    given = cases(classifier, count=2)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(classifier.net, (given.images,), dynamic_shapes=(batch,))
    other = Classifier(exported.module(), mean=(0.4, 0.6), std=0.3)
    one, two = provers["residual"], Prover(other, given.images)
    arguments = (given.images[0], given.blanks[0], int(given.answers[0]))
    assert one.margin(*arguments) == two.margin(*arguments)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.Sigmoid(), "sigmoid"),
        (nn.GELU(), "gelu"),
        (nn.Softmax(1), "softmax"),
        (nn.MaxPool2d(2, dilation=2), "max_pool2d"),
        (nn.LocalResponseNorm(2), "mul"),
    ],
)
def test_other_operations_are_named(layer, name):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), layer, nn.Flatten(), nn.LazyLinear(2)).eval()
    images = torch.rand(2, 1, 8, 8)
    net(images)
    with pytest.raises(NotBounded, match=f"got (this )?'?.*{name}"):
        Prover(Classifier(net), images)


class Batchwise(nn.Module):
    """An answer that depends on the whole batch."""

    def forward(self, x):
        return (x.flatten(1) - x.flatten(1).mean(0))[:, :2]


class Counted(nn.Module):
    """An answer that depends on the size of the batch."""

    def forward(self, x):
        return x.flatten(1)[:, :2].reshape(len(x), 2) * len(x)


class Single(nn.Module):
    """Half of the network in another dtype."""

    def forward(self, x):
        return x.flatten(1).double().float().reshape(len(x), -1)


@pytest.mark.parametrize("net", [Batchwise(), Counted(), Single()])
def test_networks_that_mix_images_or_dtypes_are_refused(net):
    with pytest.raises(NotBounded, match="Expected"):
        program_of(Classifier(net), torch.rand(3, 1, 4, 4))


def test_a_sum_of_values_of_different_shapes_is_refused_with_their_shapes():
    class Uneven(nn.Module):
        def forward(self, x):
            return (x + x.mean((2, 3), keepdim=True)).flatten(1)

    with pytest.raises(
        NotBounded, match=r"this 'add' of values of shape \(1, 4, 4\) and \(1, 1, 1\)"
    ):
        program_of(Classifier(Uneven()), torch.rand(3, 1, 4, 4))


def test_a_graph_that_answers_otherwise_is_refused():
    class Asked(nn.Module):
        """Another network than the one that is exported."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(16, 2)

        def forward(self, x):
            shift = 0.0 if torch.compiler.is_exporting() else 1.0
            return self.head(x.flatten(1)) + torch.tensor([shift, 0.0])

    with pytest.raises(NotBounded, match="own answers within the bounds"):
        Prover(Classifier(Asked().eval()), torch.rand(2, 1, 4, 4))


def test_answers_that_are_not_finite_have_no_bound():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    images = torch.rand(2, 1, 4, 4)
    prover = Prover(Classifier(net), images)
    with torch.no_grad():
        net[1].weight.fill_(torch.inf)
    broken = Prover.__new__(Prover)
    broken._classifier, broken.program = prover._classifier, program_of(Classifier(net), images)
    blank = torch.ones(4, 4, dtype=torch.bool)
    assert not broken.margin(images[0], blank, 0, steps=2).best > 0
