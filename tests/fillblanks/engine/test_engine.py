"""The engine gives the same answer with every plan."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fillblanks import (
    Classifier,
    Plan,
    expected_fill,
    first_order,
    progressive_fill,
)
from fillblanks.engine.engine import Engine, engine_of
from fillblanks.fills.update import FIRST_ORDER

NORMALISATION = {"mean": 0.5, "std": 0.1}
INDICES = torch.tensor([4, 0, 70_000])
MASKS = {"patch_size": 4, "seed": 3, "indices": INDICES}
EXPECTED = {**MASKS, "mask_ratio": 0.4, "samples": 8, "max_draws": 24}
PROGRESSIVE = {**MASKS, "groups": 3}
FORMATS = ("contiguous", "channels_last")


class Smooth(nn.Module):
    """A float32 network whose predictions no rounding changes."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 13 * 14, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + torch.tensor([9.0, 0, 0, 0])


@pytest.fixture(scope="module", params=[1, 3], ids=["1 channel", "3 channels"])
def channels(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def double(channels, network) -> Classifier:
    return Classifier(network(channels), **NORMALISATION)


def exported(classifier: Classifier, images: Tensor) -> Classifier:
    """The network as an exported program, so that no plan exports it again."""
    batch = {0: torch.export.Dim("batch")}
    net = copy.deepcopy(classifier.net).eval()
    program = torch.export.export(net, (images,), dynamic_shapes=(batch,))
    return Classifier(program.module(), **NORMALISATION)


@pytest.fixture(scope="module")
def program(double, pictures, channels) -> Classifier:
    return exported(double, pictures(2, channels))


@pytest.fixture(scope="module")
def single(channels, network) -> Classifier:
    return Classifier(network(channels, dtype=torch.float32), **NORMALISATION)


@pytest.fixture(scope="module")
def smooth(channels) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(channels)
        return Classifier(Smooth(channels), **NORMALISATION)


@pytest.fixture(scope="module")
def single_program(single, pictures, channels) -> Classifier:
    return exported(single, pictures(2, channels, dtype=torch.float32))


@pytest.fixture(scope="module")
def smooth_program(smooth, pictures, channels) -> Classifier:
    return exported(smooth, pictures(2, channels, dtype=torch.float32))


@pytest.fixture(scope="module")
def expected(double, channels, pictures):
    fill = expected_fill(double, pictures(3, channels), plan=Plan(1), **EXPECTED)
    assert (fill.drawn > fill.accepted).all()
    assert (fill.accepted > 1).all()
    return fill


@pytest.fixture(scope="module")
def progressive(double, channels, pictures):
    return progressive_fill(double, pictures(3, channels), plan=Plan(1), **PROGRESSIVE)


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("asked", [True, False], ids=["labels", "own prediction"])
@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize("plan", [Plan(1), Plan(4), Plan(4, 8, fused=True), Plan(16)], ids=str)
def test_steps_are_those_of_first_order_and_of_a_plain_loop(
    double, program, channels, pictures, plan, rows, asked
):
    masked = pictures(rows, channels)
    labels = torch.arange(rows) % 4 if asked else None
    with double.steady(), program.steady():
        step = Engine(program if plan.fused else double, plan, masked).steps(
            masked, labels, FIRST_ORDER
        )
        torch.testing.assert_close(step, first_order(double, masked, labels), rtol=0, atol=1e-10)
        for i, image in enumerate(masked):
            x = image[None].clone().requires_grad_()
            log_p = double.net((x - 0.5) / 0.1).log_softmax(1)[0]
            label = i % 4 if asked else log_p.argmax().item()
            (gradient,) = torch.autograd.grad(log_p[label], x)
            torch.testing.assert_close(step.update[i], gradient[0], rtol=0, atol=1e-10)
            assert (step.predicted[i], step.label[i]) == (log_p.argmax(), label)


@pytest.mark.parametrize(("chunk", "block"), [(7, 0), (4, 20), (64, 64), (16, 5)])
@pytest.mark.parametrize("precision", ["full", "float64"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_no_plan_changes_a_fill(
    same,
    double,
    program,
    channels,
    pictures,
    expected,
    progressive,
    chunk,
    block,
    precision,
    memory_format,
    fused,
):
    images = pictures(3, channels)
    plan = Plan(chunk, block, precision, memory_format, fused)
    classifier = program if fused else double
    fill = expected_fill(classifier, images, plan=plan, **EXPECTED)
    same(fill, expected, 1e-9)
    assert fill.plan == plan
    fill = progressive_fill(classifier, images, plan=plan, **PROGRESSIVE)
    same(fill, progressive, 1e-9)
    assert fill.plan == plan


@pytest.mark.parametrize("fused", [False, True])
def test_mixed_precision_accepts_the_same_draws_and_nearly_has_their_update(
    smooth_program, single_program, channels, pictures, fused
):
    images = pictures(3, channels, dtype=torch.float32)
    plans = Plan(16, fused=fused), Plan(16, precision="mixed", fused=fused)
    for classifier in (smooth_program, single_program):
        full, mixed = (expected_fill(classifier, images, plan=p, **EXPECTED) for p in plans)
        for name in ("label", "accepted", "drawn", "blank", "masked"):
            assert torch.equal(getattr(mixed, name), getattr(full, name)), name
        assert not torch.equal(mixed.update, full.update)
        assert relative(mixed.update, full.update) < 0.03


def test_bfloat16_nearly_has_the_update(smooth, channels, pictures):
    images = pictures(3, channels, dtype=torch.float32)
    full, reduced = (
        expected_fill(smooth, images, plan=Plan(16, precision=p), **EXPECTED)
        for p in ("full", "bfloat16")
    )
    assert reduced.accepted.tolist() == full.accepted.tolist() == [8, 8, 8]
    assert 0 < relative(reduced.update, full.update) < 0.1


@pytest.mark.parametrize(
    "fill",
    [
        expected_fill,
        progressive_fill,
    ],
)
def test_a_float64_plan_of_a_float32_network_is_that_network_in_float64(
    single, channels, pictures, fill
):
    images = pictures(3, channels, dtype=torch.float32)
    options = EXPECTED if fill is expected_fill else PROGRESSIVE
    got = fill(single, images, plan=Plan(16, precision="float64"), **options)
    wide = Classifier(copy.deepcopy(single.net).double(), **NORMALISATION)
    wanted = fill(wide, images.double(), plan=Plan(16), **options)
    assert got.update.dtype == torch.float32
    torch.testing.assert_close(got.update, wanted.update.float(), rtol=1e-4, atol=1e-6)


REPEATED = [
    Plan(16),
    Plan(7, 28),
    Plan(16, 64, fused=True, memory_format="channels_last"),
    Plan(16, precision="mixed"),
    Plan(16, 48, precision="bfloat16"),
    Plan(16, precision="float64"),
]


@pytest.mark.parametrize("plan", REPEATED, ids=str)
def test_the_same_plan_gives_the_same_bytes_twice_and_an_image_at_a_time(
    same, single, single_program, channels, pictures, plan
):
    images = pictures(3, channels, dtype=torch.float32)
    classifier = single_program if plan.fused or plan.precision == "mixed" else single
    fill = expected_fill(classifier, images, plan=plan, **EXPECTED)
    same(expected_fill(classifier, images, plan=plan, **EXPECTED), fill)
    for i in range(3):
        one = slice(i, i + 1)
        alone = expected_fill(
            classifier, images[one], plan=plan, **{**EXPECTED, "indices": INDICES[one]}
        )
        same(alone, replace(fill, **{name: rows[one] for name, rows in fill.tensors.items()}))


@pytest.mark.parametrize("precision", ["mixed", "bfloat16"])
def test_a_progressive_fill_is_never_reduced(same, single, channels, pictures, precision):
    images, plan = pictures(3, channels, dtype=torch.float32), Plan(16)
    full = progressive_fill(single, images, plan=plan, **PROGRESSIVE)
    reduced = replace(plan, precision=precision)
    fill = progressive_fill(single, images, plan=reduced, **PROGRESSIVE)
    same(fill, full)
    assert fill.plan == plan


EVERY = [
    Plan(8, 16, precision, memory_format, fused)
    for precision, memory_format, fused in itertools.product(
        ("full", "float64", "mixed", "bfloat16"), FORMATS, (False, True)
    )
]


# Every plan once, and every pair of options with a constant classifier and another one.
@pytest.mark.parametrize(
    ("plan", "constant"),
    [(plan, (i + i // 2 + i // 4) % 2 == 1) for i, plan in enumerate(EVERY)],
    ids=str,
)
def test_the_classifier_is_left_as_it_was(network, pictures, plan, constant):
    net = network(1, dtype=torch.float32)
    net[0].weight.requires_grad_(False)
    net[-1].eval()
    before, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    classifier = Classifier(net, constant=constant, **NORMALISATION)
    asks = [p.requires_grad for p in net.parameters()]
    strides = [p.stride() for p in net.parameters()]
    expected_fill(classifier, pictures(2, 1), plan=plan, samples=2)
    assert classifier.net is net
    assert (classifier.dtype, classifier.mean.dtype) == (torch.float32, torch.float32)
    assert [module.training for module in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == asks
    assert [p.stride() for p in net.parameters()] == strides
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())


@pytest.mark.parametrize(
    "plan", [Plan(8), Plan(8, fused=True), Plan(8, precision="float64")], ids=str
)
def test_only_a_constant_classifier_keeps_its_engines(same, network, pictures, plan):
    images = pictures(2, 1, dtype=torch.float32)
    kept, fresh = (Classifier(network(1, dtype=torch.float32), constant=c) for c in (True, False))
    with kept.steady(), fresh.steady():
        engine = engine_of(kept, plan, images)
        assert engine_of(kept, plan, images) is engine
        assert engine_of(kept, replace(plan, chunk=4), images) is not engine
        assert engine_of(fresh, plan, images) is not engine_of(fresh, plan, images)
    same(*(expected_fill(c, images, samples=4, plan=plan) for c in (kept, fresh)))


@pytest.mark.parametrize(
    "plan", [Plan(8), Plan(8, fused=True), Plan(8, precision="mixed")], ids=str
)
def test_weights_that_change_are_seen(same, network, pictures, plan):
    images, options = pictures(2, 1, dtype=torch.float32), {"samples": 4, "plan": plan}
    classifier = Classifier(network(1, dtype=torch.float32))
    before = expected_fill(classifier, images, **options)
    classifier.net[0].weight.data *= -3
    after = expected_fill(classifier, images, **options)
    assert not torch.equal(after.update, before.update)
    same(after, expected_fill(Classifier(copy.deepcopy(classifier.net)), images, **options))
