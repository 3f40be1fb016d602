"""`tune` finds a fast plan that changes no answer, which it judges by overlap."""

import math
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fillblanks import Classifier, Plan, default_plan, expected_fill, tune
from fillblanks.engine import search, timing
from fillblanks.engine.aten import NotRewritable
from fillblanks.engine.comparison import overlap
from fillblanks.engine.plan import REDUCED
from fillblanks.engine.tuning import LEAST_OVERLAP

SIDE, CLASSES = 12, 4
OPTIONS = {"draws": 64, "patch_size": 3}
SMALL = {"chunk": 32, "block": 64}
PAUSE_SECONDS = 0.03


class Paused(nn.Module):
    """Sleeps in each pass in which `rests()` is true; other passes are faster on any machine."""

    def __init__(self, net: nn.Module, rests: Callable[[], bool]):
        super().__init__()
        self.net, self.rests = net, rests

    def forward(self, x: Tensor) -> Tensor:
        if self.rests() and not torch.compiler.is_compiling():
            time.sleep(PAUSE_SECONDS)
        return self.net(x)


class Branching(nn.Module):
    """A linear network that cannot be exported."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            raise AssertionError("never")
        return self.linear(x.flatten(1))


class Cancelling(Branching):
    """Logits that are the difference of two large terms, which bfloat16 loses."""

    def __init__(self, size: float):
        super().__init__()
        self.other = nn.Linear(SIDE * SIDE, CLASSES, bias=False)
        self.other.weight.data = size * torch.randn(CLASSES, SIDE * SIDE)
        self.linear.weight.data += self.other.weight.data

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - self.other(x.flatten(1))


class CancellingConvolution(nn.Module):
    """The same in one convolution, whose kernels are pairs that are nearly opposite."""

    def __init__(self, size: float):
        super().__init__()
        self.conv = nn.Conv2d(1, 2 * CLASSES, SIDE)
        half = size * torch.randn(CLASSES, 1, SIDE, SIDE)
        self.conv.weight.data[:CLASSES] += half
        self.conv.weight.data[CLASSES:] = -half

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).flatten(1).view(-1, 2, CLASSES).sum(1)


class Float32Only(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ torch.eye(CLASSES)


class NoBfloat16(Branching):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        assert logits.dtype != torch.bfloat16
        return logits


class NanInBfloat16(Branching):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits * (torch.nan if logits.dtype == torch.bfloat16 else 1)


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    """Shortens the rounds: a test needs no exact times, only to notice a sleep of 10 ms."""
    monkeypatch.setattr(timing, "_ROUND_SECONDS", 0.003)
    monkeypatch.setattr(timing, "_SECONDS", 0.1)


@pytest.mark.slow
def test_it_finds_a_plan_and_tells_what_it_tried(trained, blobs):
    classifier = Classifier(trained)
    found = tune(classifier, *blobs, **OPTIONS)
    assert LEAST_OVERLAP <= found.overlap <= 1
    assert found.plan in [trial.plan for trial in found.trials]
    assert 0 < found.seconds_per_pass < math.inf
    tried = [trial.plan for trial in found.trials if math.isfinite(trial.seconds_per_pass)]
    assert {plan.precision for plan in tried} == {"full", *REDUCED}
    assert {plan.memory_format for plan in tried} == {"contiguous", "channels_last"}
    assert {plan.fused for plan in tried} == {False, True}
    assert len({plan.chunk for plan in tried}) > 1
    assert not any(plan.captured for plan in tried)
    fill = expected_fill(classifier, blobs[0][:4], samples=4, plan=found.plan)
    assert fill.plan == found.plan


@pytest.mark.parametrize(
    "fixed",
    [
        {"chunk": 24},
        {"block": 40},
        {"chunk": 24, "block": 40},
        {"memory_format": "contiguous"},
        {"memory_format": "channels_last"},
        {"fused": False},
        {"fused": True},
        {"captured": False},
        {"precision": "full"},
        {"precision": "float64"},
        {"precision": "mixed"},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_what_is_fixed_is_not_tried(classifier, images, fixed):
    rest = {"chunk": 24} if "block" not in fixed else {}
    found = tune(classifier, images, fixed={**rest, **fixed}, draws=16, patch_size=3)
    for name, value in fixed.items():
        assert getattr(found.plan, name) == value
        # Reduced precision is compared with full precision.
        tried = {value, "full"} if value in REDUCED else {value}
        assert {getattr(trial.plan, name) for trial in found.trials} == tried
    assert 0 <= found.overlap <= 1


def test_all_that_can_be_fixed_leaves_one_trial(classifier, images):
    plan = Plan(24, 48, "full", "channels_last", True)
    fixed = {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
    found = tune(classifier, images, fixed=fixed, **OPTIONS)
    assert [trial.plan for trial in found.trials] == [found.plan] == [plan]


def test_the_answer_of_the_plan_is_that_of_float64(classifier, blobs):
    images, labels = blobs[0][:16], blobs[1][:16]
    found = tune(classifier, images, labels, fixed={"chunk": 32}, **OPTIONS)
    options = {"samples": 64, "max_draws": 64, "patch_size": 3}
    reference = Plan(32, precision="float64")
    one, other = (
        expected_fill(classifier, images, labels, plan=plan, **options).prototype
        for plan in (found.plan, reference)
    )
    assert overlap(one, other).mean() >= found.overlap - 1e-12


def only_full() -> bool:
    return not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("size", "kept"), [(0.0, True), (10.0, False)], ids=["sane", "cancelling"])
@pytest.mark.parametrize("precision", REDUCED)
def test_reduced_precision_is_taken_where_it_is_fast_and_changes_no_answer(
    seeded, images, precision, size, kept
):
    # "mixed" runs a graph, which never sleeps; Branching has no graph.
    make, rests = {
        "bfloat16": (Cancelling, only_full),
        "mixed": (CancellingConvolution, lambda: True),
    }[precision]
    net = seeded(lambda: Paused(make(size), rests))
    fixed = {**SMALL, "fused": False, "memory_format": "contiguous"}
    found = tune(Classifier(net), images, fixed=fixed, **OPTIONS)
    assert found.plan.precision == (precision if kept else "full")
    assert LEAST_OVERLAP <= found.overlap <= 1
    refused = [trial for trial in found.trials if trial.overlap is not None]
    if kept:
        assert not refused
    else:
        assert precision in [trial.plan.precision for trial in refused]
        for trial in refused:
            assert trial.overlap < LEAST_OVERLAP
            assert f"overlap with those of float64 by {trial.overlap:.3f}" in trial.refused


@pytest.mark.parametrize("precision", REDUCED)
def test_a_precision_that_is_fixed_is_taken_whatever_its_overlap(seeded, images, precision):
    net = seeded(lambda: CancellingConvolution(100))
    found = tune(Classifier(net), images, fixed={**SMALL, "precision": precision}, **OPTIONS)
    assert found.plan.precision == precision
    assert found.overlap < LEAST_OVERLAP


def test_a_float64_network_is_run_in_full(images, network):
    found = tune(Classifier(network(1, SIDE, SIDE)), images, fixed=SMALL, **OPTIONS)
    assert {trial.plan.precision for trial in found.trials} == {"full"}
    assert found.plan.precision == "full"
    assert found.overlap == pytest.approx(1)


@pytest.mark.parametrize("precision", REDUCED)
def test_a_reduced_precision_that_is_fixed_is_taken_for_a_float64_network_too(
    images, network, precision
):
    net, fixed = network(1, SIDE, SIDE), {**SMALL, "precision": precision}
    assert tune(Classifier(net), images, fixed=fixed, **OPTIONS).plan.precision == precision


def test_a_network_that_cannot_be_exported_goes_without_and_the_trials_say_why(seeded, images):
    classifier = Classifier(seeded(Branching))
    found = tune(classifier, images, fixed=SMALL, **OPTIONS)
    assert not found.plan.fused
    assert found.plan.precision != "mixed"
    refused = [t for t in found.trials if t.plan.fused or t.plan.precision == "mixed"]
    assert {trial.plan.precision for trial in refused} >= {"full", "mixed"}
    for trial in refused:
        assert trial.refused.startswith("NotRewritable: Expected a network that torch.export takes")
        assert "\n" not in trial.refused
        assert math.isinf(trial.seconds_per_pass)
    with pytest.raises(NotRewritable):
        tune(classifier, images, fixed={**SMALL, "fused": True}, **OPTIONS)
    with pytest.raises(ValueError, match="a network that runs in mixed, got NotRewritable: "):
        tune(classifier, images, fixed={**SMALL, "precision": "mixed"}, **OPTIONS)


def test_a_network_without_float64_has_no_overlap_and_is_run_in_full(seeded, images):
    found = tune(Classifier(seeded(Float32Only)), images, fixed=SMALL, **OPTIONS)
    assert found.plan.precision == "full"
    assert math.isnan(found.overlap)


@pytest.mark.parametrize("make", [NanInBfloat16, NoBfloat16])
def test_a_network_that_does_not_run_in_bfloat16_goes_without(seeded, images, make):
    net = Paused(seeded(make), only_full)
    found = tune(Classifier(net), images, fixed=SMALL, **OPTIONS)
    assert found.plan.precision == "full"


def test_options_are_those_of_expected_fill_for_all_images(classifier, blobs):
    plan = {**SMALL, "precision": "bfloat16", "memory_format": "contiguous", "fused": False}
    images = blobs[0][:40]  # more images than are compared

    def overlap_of(indices: Tensor | None) -> float:
        options = {"draws": 16, "patch_size": 3, "indices": indices}
        return tune(classifier, images, fixed=plan, **options).overlap

    numbers = torch.arange(40)
    unsaid = overlap_of(None)
    assert overlap_of(numbers) == unsaid < 1
    assert overlap_of(numbers + 1_000) not in (unsaid, 1)


@pytest.mark.slow
def test_images_without_a_fill_leave_the_overlap_to_the_others(seeded, images):
    net = seeded(Branching)
    net.linear.bias.data[3] = -1e3
    classifier = Classifier(Paused(net, only_full))
    with classifier.steady():
        labels = classifier.predict(images)
    labels[0] = 3
    some = tune(classifier, images, labels, fixed=SMALL, **OPTIONS)
    assert LEAST_OVERLAP <= some.overlap <= 1
    none = tune(classifier, images, torch.full_like(labels, 3), fixed=SMALL, **OPTIONS)
    assert math.isnan(none.overlap)
    assert (some.plan.precision, none.plan.precision) == ("bfloat16", "full")


def test_what_only_costs_may_stand_among_the_options(seeded, images):
    options = {"samples": 10, "max_draws": 20, "tolerance": 0.3, "patch_size": 3}
    found = tune(Classifier(seeded(Branching)), images, draws=32, fixed=SMALL, **options)
    assert found.overlap > LEAST_OVERLAP


def test_little_time_is_not_spent_on_trials(seeded, images, monkeypatch):
    monkeypatch.setattr(search, "_LEAST_SECONDS", 0.0)
    found = tune(Classifier(seeded(Branching)), images, passes=1, **OPTIONS)
    assert found.plan == default_plan(*images.shape[1:])
    assert len(found.trials) == 1
    assert math.isnan(found.overlap)


def test_much_time_is_spent_as_if_it_were_not_limited(seeded, images):
    options = {**OPTIONS, "fixed": {**SMALL, "precision": "full"}}
    limited, free = (
        tune(Classifier(seeded(Branching)), images, passes=passes, **options)
        for passes in (10**12, None)
    )
    assert limited.overlap == free.overlap
