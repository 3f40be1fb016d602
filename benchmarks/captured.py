"""Speed of fills on a GPU with and without CUDA graphs: `python benchmarks/captured.py`, on one GPU.

Images and weights are random, since neither changes the time of a pass. The two plans take turns in
each round; the ratio is the median over rounds, with the lowest and the highest.
"""

import statistics
import time
from dataclasses import replace

import torch
import torchvision
from networks import CNN3, RESNET5, RESNET18, Subject
from torch import Tensor

from fillblanks import Classifier, Plan, expected_fill, tune

_ROUNDS = 7
_RESNET50 = Subject("ResNet-50 224", torchvision.models.resnet50, 32, (0.45,), (0.22,), 224)
_DRAWS = {CNN3: 65_536, RESNET5: 65_536, RESNET18: 32_768, _RESNET50: 2_048}


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("Expected a GPU, found none. Run this benchmark on a machine with one.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| network | plan | masks/s | masks/s, captured | captured / not |")
    print("|---|---|---|---|---|")
    for subject, draws in _DRAWS.items():
        print(_row(subject, draws), flush=True)


def _row(subject: Subject, draws: int) -> str:
    net = subject.make().cuda().eval()
    classifier = Classifier(net, mean=subject.mean, std=subject.std)
    channels = next(net.parameters()).shape[1]  # of the first convolution
    images = torch.rand(1, channels, subject.side, subject.side).cuda()
    plain = tune(classifier, images, patch_size=subject.patch_size, fixed={"captured": False}).plan
    captured = replace(plain, captured=True)
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(_ROUNDS + 1):
        for plan in (plain, captured):
            seconds = _seconds(classifier, images, plan, subject.patch_size, draws)
            if number:  # the first round compiles
                taken[plan.captured].append(seconds)
    ratios = [before / after for before, after in zip(taken[False], taken[True], strict=True)]
    rates = [draws / statistics.median(taken[kind]) for kind in (False, True)]
    return (
        f"| {subject.name} | {plain.precision}, chunk {plain.chunk} | {rates[0]:,.0f} "
        f"| {rates[1]:,.0f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |"
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
