"""Networks that remember, answer by chance, or whose rows depend on each other are refused."""

import math
import warnings

import pytest
import torch
from torch import nn

from fillblanks import Classifier, Plan, progressive_fill
from fillblanks.batches import Rounding, changed


class _Remembering(nn.Module):
    """Keeps its last answer in a buffer, by which a network could recognise its own fills."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 3)
        self.register_buffer("last", torch.zeros(3))

    def forward(self, x):
        logits = self.head(x.flatten(1)[:, :12])
        self.last.copy_(logits[0].detach())
        return logits


def test_a_network_with_a_memory_is_refused():
    classifier = Classifier(_Remembering())
    with pytest.raises(ValueError, match="changed its buffer 'last'"):
        progressive_fill(classifier, torch.rand(2, 3, 6, 6), patch_size=1)


class _Counting(nn.Module):
    """Counts its calls in a tensor that is no buffer."""

    def __init__(self, count, name):
        super().__init__()
        self.head = nn.Linear(12, 3)
        setattr(self, name, count)
        self.count = [count]

    def forward(self, x):
        with torch.no_grad():
            self.count[0].view(-1)[-1] += 1
        return self.head(x.flatten(1)[:, :12])


@pytest.mark.parametrize(
    ("net", "what"),
    [
        (_Counting(nn.Parameter(torch.zeros(2)), "calls"), "parameter 'calls'"),
        (_Counting(nn.Parameter(torch.zeros(1 << 17)), "calls"), "parameter 'calls'"),
        (_Counting(torch.zeros(1), "calls"), "attribute 'calls'"),
        (_Counting(torch.zeros(1, dtype=torch.bfloat16), "_calls"), "attribute '_calls'"),
    ],
)
def test_a_memory_in_any_tensor_is_refused(net, what):
    with pytest.raises(ValueError, match=f"changed its {what}"), Classifier(net).steady():
        net(torch.rand(2, 3, 6, 6))


class _Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x.flatten(1)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_number_that_torchscript_counts_is_seen():
    net = torch.jit.script(_Scripted())
    steady = Classifier(net).steady()
    with pytest.raises(ValueError, match="changed its attribute 'calls'"), steady:
        net(torch.rand(2, 3, 6, 6))


class _Table(nn.Module):
    """Makes a table when it is first needed, in an attribute that was not there before."""

    def forward(self, x):
        if not hasattr(self, "table"):
            self.table = torch.ones(1)
        return x.flatten(1) * self.table


def test_a_table_that_is_made_once_is_no_memory():
    net = _Table()
    for _ in range(2):
        with Classifier(net).steady():
            net(torch.rand(2, 3, 6, 6))


class _ByBatch(nn.Module):
    """Names class 0 for rows that `which` picks from a batch (N, ...); else answers well."""

    def __init__(self, which, size=1.0, offset=0.0):
        super().__init__()
        self.head = nn.Linear(108, 5)
        self.which, self.size, self.offset = which, size, offset

    def forward(self, x):
        logits = 10 * self.head(x.flatten(1))
        logits = logits - logits.mean(0).detach() * 0
        constant = torch.tensor([5.0, 0, 0, 0, 0])
        logits = torch.where(self.which(x)[:, None], constant, logits) * self.size
        return logits - self.offset * torch.tensor([0.0, 0, 0, 0, 1])


def _copies(x):
    """All rows, if the batch is the same four rows again and again."""
    return ((x - x.roll(4, 0)).abs().sum() == 0).expand(len(x))


_TOUCHING = {
    "row 0": lambda x: torch.arange(len(x)) == 0,
    "copies": _copies,
    "alone": lambda x: torch.tensor(len(x) == 1).expand(len(x)),
    "the last half": lambda x: torch.arange(len(x)) >= max(1, len(x) // 2),
    "after a brighter row": lambda x: x.mean((1, 2, 3)) < x.roll(1, 0).mean((1, 2, 3)),
}


@pytest.mark.parametrize("which", _TOUCHING)
@pytest.mark.parametrize("rows", [4, 16, 64])
def test_any_row_that_depends_on_its_batch_is_found(which, rows):
    torch.manual_seed(0)
    net = _ByBatch(_TOUCHING[which])
    images = torch.rand(40, 3, 6, 6)
    with pytest.raises(
        ValueError, match=r"in a batch, got different ones for \d+ of (12|32) images"
    ):
        Classifier(net).expect_logits(images, rows)


def test_a_network_that_is_quantized_dynamically_may_differ_by_its_steps():
    net = nn.Sequential(nn.Flatten(), nn.Linear(108, 32), nn.ReLU(), nn.Linear(32, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch has moved it to torchao
        quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    images = torch.rand(40, 3, 6, 6)
    assert (quantized(images)[:1] - quantized(images[:1])).abs().max() > 1e-4
    assert Classifier(quantized).expect_logits(images) == 5


def test_an_image_whose_logits_are_not_finite_differs_only_if_they_become_finite():
    reference = torch.tensor([[1.0, 0.0], [math.nan, 0.0], [0.0, 1.0]])
    every = torch.arange(3)
    assert changed(reference, reference, every, Rounding(0.1, 0), only_classes=False) == 0
    other = torch.tensor([[1.0, 0.0], [1.0, 0.0], [math.inf, 1.0]])
    assert changed(reference, other, every, Rounding(0.1, 0), only_classes=False) == 2


@pytest.mark.parametrize("scale", [{"size": 1e-5}, {"offset": 1e6}])
def test_logits_of_an_odd_size_hide_no_class_that_changes(scale):
    torch.manual_seed(0)
    net = _ByBatch(_TOUCHING["copies"], **scale)
    with pytest.raises(ValueError, match="in a batch, got different ones"):
        Classifier(net).expect_logits(torch.rand(40, 3, 6, 6), 16)


class _HalfAlone(_ByBatch):
    """Answers half of the images otherwise if they come alone, beside a number in all logits."""

    def forward(self, x):
        half = ((x.sum((1, 2, 3)) * 1000).long() % 2 == 0) & (len(x) == 1)
        logits = self.head(x.flatten(1))
        return torch.where(half[:, None], -logits, logits) + self.offset


@pytest.mark.parametrize("seed", range(8))
def test_a_number_in_all_logits_hides_no_half_of_the_images_that_changes(seed):
    images = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="in a batch, got different ones"):
        Classifier(_HalfAlone(None, offset=1e5)).expect_logits(images, 32)


class _Named(nn.Module):
    """Gives the class alone, as 0 and -1; for `count` of the images it changes in a batch."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        values = x.mean((1, 2, 3))
        named = (values * 1000).long() % 3
        if len(x) > 1:
            named = torch.where(values <= LEVELS[self.count], (named + 1) % 3, named)
        return nn.functional.one_hot(named, 3).float() - 1


IMAGES = torch.arange(1, 33).view(-1, 1, 1, 1).expand(-1, 3, 6, 6) * 3e-3 + 0.0005
LEVELS = [0.0, *(IMAGES[:, 0, 0, 0] + 1e-4).tolist()]


def test_of_a_class_alone_one_in_eight_may_change_by_rounding():
    assert Classifier(_Named(0)).expect_logits(IMAGES, 16, only_classes=True) == 3
    assert Classifier(_Named(2)).expect_logits(IMAGES, 16, only_classes=True) == 3
    with pytest.raises(ValueError, match="got different ones for 8 of 32 images"):
        Classifier(_Named(8)).expect_logits(IMAGES, 16, only_classes=True)


class _TouchingRows(nn.Module):
    """Each answer depends on the whole batch if the batch has more than four rows."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(108, 3)

    def forward(self, x):
        logits = self.head(x.flatten(1))
        return logits + 3 * min(max(len(x) - 4, 0), 1) * (logits - logits.mean(0))


def test_rows_that_touch_in_the_batches_of_the_plan_are_refused():
    classifier = Classifier(_TouchingRows())
    images = torch.rand(2, 3, 6, 6)
    with pytest.raises(ValueError, match="for an image alone and in a batch"):
        progressive_fill(classifier, images, patch_size=1)
    progressive_fill(classifier, images, patch_size=1, plan=Plan(chunk=4))


class _Dropping(nn.Module):
    """Drops by chance whatever its mode, but only in the last row of a batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(108, 3)

    def forward(self, x):
        features = x.flatten(1)
        last = nn.functional.dropout(features[-1:], training=True)
        return self.head(torch.cat([features[:-1], last]))


def test_answers_that_differ_each_time_are_refused():
    with pytest.raises(ValueError, match="same logits for an image each time, got different ones"):
        Classifier(_Dropping()).expect_logits(torch.rand(2, 3, 6, 6))


class _ByNumpy(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.numpy()).flatten(1)


class _WithoutGradient(nn.Flatten):
    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize("net", [_WithoutGradient(), _ByNumpy()])
def test_logits_can_be_expected_of_a_network_without_a_gradient(net):
    images = torch.rand(2, 3, 6, 6)
    classifier = Classifier(net)
    assert classifier.expect_logits(images) == 108
    assert not classifier.has_gradient(images)
    with pytest.raises(ValueError, match="Take out no_grad, detach or numpy on the way"):
        classifier.probe(images)
    assert Classifier(nn.Flatten()).has_gradient(images)


@pytest.mark.parametrize(("dtype", "change"), [(torch.bfloat16, 0.02), (torch.float32, 0.002)])
def test_rows_may_differ_by_the_rounding_of_the_weights(dtype, change):
    class Rounds(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.change = change
            self.weight = nn.Parameter(torch.ones(1, dtype=dtype))

        def forward(self, x):
            logits = 4 * x.flatten(1).float() - 1
            return logits * (1 + self.change * (len(x) > 1))

    images = torch.rand(2, 3, 6, 6)
    with pytest.raises(ValueError, match="for an image alone and in a batch"):
        Classifier(Rounds(10 * change), dtype=torch.float32).expect_logits(images)
    told = Classifier(Rounds(change / 3), dtype=torch.float32)
    assert told.expect_logits(images) == 108


def test_a_gradient_of_other_leaves_is_none_of_the_image():
    class Loose(nn.Module):
        """Adds a tensor that requires a gradient, and is no parameter that can be frozen."""

        def __init__(self):
            super().__init__()
            self.loose = [torch.ones(3, requires_grad=True)]

        def forward(self, x):
            return x.detach().flatten(1)[:, :3] + self.loose[0]

    images = torch.rand(2, 1, 4, 4)
    assert Loose()(images).requires_grad
    assert not Classifier(Loose()).has_gradient(images)
    assert Classifier(nn.Flatten()).has_gradient(images)


def test_an_operation_without_a_derivative_gives_no_gradient():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.rand(2, 1, 4, 4)
    assert Classifier(net).has_gradient(images)
    quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    assert not Classifier(quantized).has_gradient(images)
