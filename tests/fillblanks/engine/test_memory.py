"""Chunks are halved if memory is short, and memory does not grow with the draws."""

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
    default_plan,
    expected_fill,
    progressive_fill,
)
from fillblanks.memory import is_short

PROCESS = Path("/proc/self/status")
SHORT = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
    ),
    "Python": MemoryError(),
    "oneDNN": RuntimeError("could not create a primitive"),
}
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; there is none")


class Limited(nn.Module):
    """Has memory for `rows` rows, `always` or only in passes that keep a gradient."""

    def __init__(self, rows: int, error: Exception, always: bool):
        super().__init__()
        self.linear = nn.Linear(64, 4)
        self.rows, self.error, self.always = rows, error, always

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.rows and (self.always or x.requires_grad):
            raise self.error
        return self.linear(x.flatten(1)).sin()


def test_the_words_of_a_name_are_no_memory_that_is_short():
    assert is_short(RuntimeError("CUDA out of memory"))
    assert not is_short(ValueError("Expected the same class from 'out of memory'"))


def limited(rows: int, error: Exception, always: bool = False) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Classifier(Limited(rows, error, always))


@pytest.mark.parametrize("always", [False, True], ids=["backward", "always"])
@pytest.mark.parametrize("error", ["GPU", "CPU"])
def test_without_a_plan_chunks_are_halved_until_they_fit(same, pictures, error, always):
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


@pytest.mark.parametrize("error", ["GPU", "CPU", "Python", "oneDNN"])
def test_without_a_plan_memory_that_is_short_for_one_image_is_told(pictures, error):
    with pytest.raises(OutOfMemory, match=r"= 1 x 1 x 8 x 8 = 64 values.* Take smaller"):
        expected_fill(limited(0, SHORT[error]), pictures(3, 1, 8, 8), samples=4)


@pytest.mark.parametrize("plan", [None, Plan(8)], ids=str)
@pytest.mark.parametrize("told", ["a bug", "could not create a primitive descriptor iterator"])
def test_another_error_is_not_taken_for_memory(pictures, plan, told):
    with pytest.raises(RuntimeError, match=rf"^{told}$") as raised:
        expected_fill(limited(4, RuntimeError(told)), pictures(3, 1, 8, 8), samples=4, plan=plan)
    assert not isinstance(raised.value, OutOfMemory)


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


@pytest.mark.slow
@pytest.mark.skipif(not PROCESS.exists(), reason="needs Linux to tell a process's peak memory")
def test_memory_does_not_grow_with_draws():
    # 19,000 updates of 32 x 32 would take 74 MiB. ru_maxrss would begin at the parent's peak.
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
