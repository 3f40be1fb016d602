"""Engine: whatever the plan, the same answer; memory that is short, and memory that is flat."""

import copy
import itertools
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fillblanks import (
    Classifier,
    OutOfMemory,
    Plan,
    calibrate,
    default_plan,
    expected_fill,
    first_order,
    progressive_fill,
)
from fillblanks.engine import Engine, engine_of
from fillblanks.plan import with_fixed

PROCESS = Path("/proc/self/status")
NORMALISATION = {"mean": 0.5, "std": 0.1}
INDICES = torch.tensor([4, 0, 70_000])
MASKS = {"patch_size": 4, "seed": 3, "indices": INDICES}
EXPECTED = {**MASKS, "mask_ratio": 0.4, "samples": 8, "max_draws": 24}
PROGRESSIVE = {**MASKS, "groups": 3}
FORMATS = ("contiguous", "channels_last")
SHORT = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
    ),
    "Python": MemoryError(),
}
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; there is none")


class Limited(nn.Module):
    """Has memory for so many rows and no more, or for so many where a gradient is kept."""

    def __init__(self, rows: int, error: Exception, always: bool):
        super().__init__()
        self.linear = nn.Linear(64, 4)
        self.rows, self.error, self.always = rows, error, always

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.rows and (self.always or x.requires_grad):
            raise self.error
        return self.linear(x.flatten(1)).sin()


class Smooth(nn.Module):
    """A float32 network whose predictions no rounding moves."""

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


@pytest.fixture(scope="module")
def single(channels, network) -> Classifier:
    return Classifier(network(channels, dtype=torch.float32), **NORMALISATION)


@pytest.fixture(scope="module")
def smooth(channels) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(channels)
        return Classifier(Smooth(channels), **NORMALISATION)


@pytest.fixture(scope="module")
def expected(double, channels, pictures):
    fill = expected_fill(double, pictures(3, channels), plan=Plan(1), **EXPECTED)
    assert (fill.drawn > fill.accepted).all()
    assert (fill.accepted > 1).all()
    return fill


@pytest.fixture(scope="module")
def progressive(double, channels, pictures):
    return progressive_fill(double, pictures(3, channels), plan=Plan(1), **PROGRESSIVE)


def same(one, other, tolerance=0.0):
    """Equal in all tensors; bit for bit without a tolerance."""
    for name, values in one.tensors.items():
        theirs = other.tensors[name]
        assert values.dtype == theirs.dtype, name
        if tolerance and values.is_floating_point():
            torch.testing.assert_close(
                values, theirs, rtol=0, atol=tolerance, equal_nan=True, msg=lambda t, n=name: n + t
            )
        else:
            assert torch.equal(values.nan_to_num(-9), theirs.nan_to_num(-9)), name
            assert not values.is_floating_point() or torch.equal(values.isnan(), theirs.isnan())


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("asked", [True, False], ids=["labels", "own prediction"])
@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize("plan", [Plan(1), Plan(4), Plan(4, 8, fused=True), Plan(16)], ids=str)
def test_steps_are_those_of_first_order_and_of_a_plain_loop(
    double, channels, pictures, plan, rows, asked
):
    masked = pictures(rows, channels)
    labels = torch.arange(rows) % 4 if asked else None
    with double.steady():
        step = Engine(double, plan, masked).steps(masked, labels)
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
    double, channels, pictures, expected, progressive, chunk, block, precision, memory_format, fused
):
    images = pictures(3, channels)
    plan = Plan(chunk, block, precision, memory_format, fused)
    fill = expected_fill(double, images, plan=plan, **EXPECTED)
    same(fill, expected, 1e-9)
    assert fill.plan == plan
    fill = progressive_fill(double, images, plan=plan, **PROGRESSIVE)
    same(fill, progressive, 1e-9)
    assert fill.plan == plan


@pytest.mark.parametrize("fused", [False, True])
def test_mixed_precision_accepts_the_same_draws_and_nearly_has_their_update(
    smooth, single, channels, pictures, fused
):
    images = pictures(3, channels, dtype=torch.float32)
    plans = Plan(16, fused=fused), Plan(16, precision="mixed", fused=fused)
    for classifier in (smooth, single):
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
    single, channels, pictures, plan
):
    images = pictures(3, channels, dtype=torch.float32)
    fill = expected_fill(single, images, plan=plan, **EXPECTED)
    same(expected_fill(single, images, plan=plan, **EXPECTED), fill)
    for i in range(3):
        one = slice(i, i + 1)
        alone = expected_fill(
            single, images[one], plan=plan, **{**EXPECTED, "indices": INDICES[one]}
        )
        same(alone, replace(fill, **{name: rows[one] for name, rows in fill.tensors.items()}))


@pytest.mark.parametrize("precision", ["mixed", "bfloat16"])
def test_a_progressive_fill_is_never_reduced(single, channels, pictures, precision):
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


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("plan", EVERY, ids=str)
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
def test_only_a_constant_classifier_keeps_its_engines(network, pictures, plan):
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
def test_weights_that_change_are_seen(network, pictures, plan):
    images, options = pictures(2, 1, dtype=torch.float32), {"samples": 4, "plan": plan}
    classifier = Classifier(network(1, dtype=torch.float32))
    before = expected_fill(classifier, images, **options)
    classifier.net[0].weight.data *= -3
    after = expected_fill(classifier, images, **options)
    assert not torch.equal(after.update, before.update)
    same(after, expected_fill(Classifier(copy.deepcopy(classifier.net)), images, **options))


def limited(rows: int, error: Exception, always: bool = False) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Classifier(Limited(rows, error, always))


@pytest.mark.parametrize("always", [False, True], ids=["backward", "always"])
@pytest.mark.parametrize("error", ["GPU", "CPU"])
def test_without_a_plan_chunks_are_halved_until_they_fit(pictures, error, always):
    images = pictures(3, 1, 8, 8, torch.float32)
    fill = expected_fill(limited(20, SHORT[error], always), images, samples=50)
    assert fill.plan == replace(default_plan(1, 8, 8), chunk=16, block=fill.plan.block)
    assert fill.plan.block == default_plan(1, 8, 8).block // 16
    fits = expected_fill(limited(999, SHORT[error]), images, samples=50)
    same(fill, fits, 1e-6)
    fill = progressive_fill(limited(4, SHORT[error], always), images)
    assert fill.plan.chunk == 4


def test_without_a_plan_the_labels_of_many_images_are_found_in_halved_chunks_too(pictures):
    fill = expected_fill(limited(8, SHORT["Python"], True), pictures(20, 1, 8, 8), samples=4)
    assert fill.plan.chunk == 8


@pytest.mark.parametrize(
    ("rows", "chunk", "always", "said"),
    [
        (
            8,
            20,
            False,
            "20 x 1 x 8 x 8 = 1,280 values, there was too little. Take a smaller chunk or block.",
        ),
        (8, 20, True, "20 x 1 x 8 x 8 = 1,280 values"),
        (0, 1, False, "1 x 1 x 8 x 8 = 64 values"),
        (0, 1, True, "1 x 1 x 8 x 8 = 64 values"),
    ],
    ids=["backward", "always", "backward of one image", "one image"],
)
@pytest.mark.parametrize("error", ["GPU", "CPU"])
@pytest.mark.parametrize("fill", [expected_fill, progressive_fill])
def test_with_a_plan_memory_that_is_short_is_told_in_a_line(
    pictures, fill, error, rows, chunk, always, said
):
    images = pictures(3, 1, 8, 8, torch.float32)
    with pytest.raises(OutOfMemory) as raised:
        fill(limited(rows, SHORT[error], always), images, plan=Plan(chunk))
    assert f"a pass over chunk x channels x height x width = {said}" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", ["GPU", "CPU", "Python"])
def test_without_a_plan_memory_that_is_short_for_one_image_is_told(pictures, error):
    with pytest.raises(OutOfMemory, match=r"= 1 x 1 x 8 x 8 = 64 values.* Take smaller"):
        expected_fill(limited(0, SHORT[error]), pictures(3, 1, 8, 8), samples=4)


@pytest.mark.parametrize("plan", [None, Plan(8)], ids=str)
def test_another_error_is_not_taken_for_memory(pictures, plan):
    with pytest.raises(RuntimeError, match=r"^a bug$") as raised:
        expected_fill(limited(4, RuntimeError("a bug")), pictures(3, 1, 8, 8), samples=4, plan=plan)
    assert not isinstance(raised.value, OutOfMemory)


def test_a_captured_plan_is_refused_on_the_cpu(pictures):
    classifier, images = limited(9, MemoryError()), pictures(3, 1, 8, 8)
    for refused in (
        lambda: expected_fill(classifier, images, plan=Plan(4, captured=True)),
        lambda: progressive_fill(classifier, images, plan=Plan(4, captured=True)),
        lambda: calibrate(classifier, images, fixed={"captured": True}),
    ):
        with pytest.raises(ValueError, match="a network on a GPU for a captured plan, got one on"):
            refused()


@ON_GPU
@pytest.mark.parametrize("precision", ["full", "mixed", "bfloat16"])
def test_a_captured_plan_gives_what_the_same_plan_gives_without(network, pictures, precision):
    classifier = Classifier(network(3, dtype=torch.float32).cuda(), **NORMALISATION)
    images, plan = pictures(3, 3, dtype=torch.float32), Plan(16, 64, precision, fused=True)
    plain = expected_fill(classifier, images, plan=plan, **EXPECTED)
    captured = replace(plan, captured=True)
    fill = expected_fill(classifier, images, plan=captured, **EXPECTED)
    same(expected_fill(classifier, images, plan=captured, **EXPECTED), fill)
    assert torch.equal(fill.accepted, plain.accepted)
    torch.testing.assert_close(fill.update, plain.update, rtol=1e-2, atol=1e-4)
    same(
        progressive_fill(classifier, images, plan=captured, **PROGRESSIVE),
        progressive_fill(classifier, images, plan=plan, **PROGRESSIVE),
        1e-5,
    )


@ON_GPU
@pytest.mark.parametrize("captured", [False, True])
def test_memory_of_a_gpu_does_not_grow_with_draws(network, pictures, captured):
    classifier = Classifier(network(1, dtype=torch.float32).cuda())
    images, plan = pictures(2, 1, dtype=torch.float32), Plan(64, 256, captured=captured)
    peaks = []
    for draws in (1_000, 20_000):
        torch.cuda.reset_peak_memory_stats()
        expected_fill(classifier, images, plan=plan, samples=draws, max_draws=draws)
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] <= peaks[0] + (1 << 20)


@pytest.mark.skipif(not PROCESS.exists(), reason="needs Linux to tell a process's peak memory")
def test_memory_does_not_grow_with_draws():
    # 19,000 updates of 32 x 32 would be 74 MiB. Not ru_maxrss: that begins at the parent's peak.
    code = f"""
        import re, torch
        from pathlib import Path
        from torch import nn
        from fillblanks import Classifier, Plan, expected_fill
        torch.set_num_threads(1)
        classifier = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(1024, 4)))
        classifier.net[1].bias.data[0] = 9
        images = torch.rand(1, 1, 32, 32)
        for draws in (1_000, 20_000):
            fill = expected_fill(classifier, images, samples=draws, plan=Plan(64, 512))
            assert fill.accepted.item() == draws
            print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("{PROCESS}").read_text())[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    few, many = (int(line) for line in done.stdout.split())
    assert many - few < 30 << 10


def test_a_plan_says_what_is_wrong_with_it():
    for wrong, said in (
        ({"chunk": 0}, "Expected chunk >= 1, got 0."),
        ({"chunk": 4, "block": -1}, "Expected block >= 0, got -1."),
        ({"chunk": 4, "precision": "half"}, "float64, full, mixed, bfloat16, got 'half'."),
        ({"chunk": 4, "memory_format": "rows"}, "contiguous, channels_last, got 'rows'."),
    ):
        with pytest.raises(ValueError, match=said):
            Plan(**wrong)


def test_a_plan_is_halved_down_to_one_image():
    plan = Plan(5, 30, "bfloat16", fused=True)
    assert plan.halved() == replace(plan, chunk=2, block=15)
    assert Plan(1).halved() == Plan(1)
    assert Plan(4).block == 4
    assert str(plan) == "bfloat16, contiguous, fused; 5 images in a pass, 30 in a block"


@pytest.mark.parametrize(
    "shape", [(1, 1, 2), (1, 28, 28), (3, 32, 32), (3, 224, 224), (3, 4096, 4096)]
)
def test_a_default_plan_takes_the_network_as_it_is_in_whole_chunks(shape):
    plan = default_plan(*shape)
    assert replace(plan, chunk=1, block=1) == Plan(1)
    assert 4 <= plan.chunk <= 256
    assert plan.block % plan.chunk == 0
    assert with_fixed(plan, {}, shape) == plan
    fixed = with_fixed(plan, {"chunk": 8, "fused": True}, shape)
    assert (fixed.chunk, fixed.fused, fixed.block % 8) == (8, True, 0)
    assert with_fixed(plan, {"block": 3}, shape) == replace(plan, block=3)
