"""Speed of fills on a GPU with and without CUDA graphs: `python benchmarks/captured.py`.

Images and weights are random, since neither changes the time of a pass. The two plans take turns in
each round; the ratio is the median over rounds, with the lowest and the highest.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
import torchvision
from networks import CNN3, RESNET5, RESNET18, Subject
from torch import Tensor

from fillblanks import Classifier, Plan, expected_fill, tune

_ROUNDS = 7
_SMALL, _BLOCK, _FEWER = 64, 4096, 4  # chunk and block of the second plan; it gets fewer draws
_RESNET50 = Subject("ResNet-50 224", torchvision.models.resnet50, 32, (0.45,), (0.22,), 224)
_DRAWS = {CNN3: 65_536, RESNET5: 65_536, RESNET18: 32_768, _RESNET50: 2_048}


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("Expected a GPU, found none. Run this benchmark on a machine with one.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| network | plan | masks/s | masks/s, captured | captured / not |")
    print("|---|---|---|---|---|")
    for subject, draws in _DRAWS.items():
        for row in _rows(subject, draws):
            print(row, flush=True)


def _rows(subject: Subject, draws: int) -> Iterator[str]:
    """The line of the plan that is found by trials, and that of a small chunk."""
    net = subject.make().cuda().eval()
    classifier = Classifier(net, mean=subject.mean, std=subject.std)
    channels = next(net.parameters()).shape[1]  # of the first convolution
    images = torch.rand(1, channels, subject.side, subject.side).cuda()
    tuned = tune(classifier, images, patch_size=subject.patch_size, fixed={"captured": False}).plan
    for plan, wanted in ((tuned, draws), (Plan(_SMALL, _BLOCK), draws // _FEWER)):
        plans = {False: plan, True: replace(plan, captured=True)}
        taken: dict[bool, list[float]] = {kind: [] for kind in plans}
        for number in range(_ROUNDS + 1):
            for kind, one in plans.items():
                seconds = _seconds(classifier, images, one, subject.patch_size, wanted)
                if number:  # the first round compiles
                    taken[kind].append(seconds)
        ratios = [before / after for before, after in zip(*taken.values(), strict=True)]
        rates = [f"{wanted / statistics.median(seconds):,.0f}" for seconds in taken.values()]
        yield (
            f"| {subject.name} | {plan.precision}, chunk {plan.chunk} | {' | '.join(rates)} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


def _seconds(
    classifier: Classifier, images: Tensor, plan: Plan, patch_size: int, draws: int
) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    expected_fill(
        classifier, images, plan=plan, patch_size=patch_size, samples=draws, max_draws=draws
    )
    torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
