"""Runs all benchmarks: python benchmarks [folder]. Writes results.md beside this file.

Trained networks are kept in `folder`, by default a temporary one. The run takes about an hour on
2 cores and needs the data folder (FILLBLANKS_DATA).
"""

import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from copies import copies
from coverage import coverage
from memory import memory
from networks import CNN3, DATA, RESNET5, RESNET18, network
from overhead import overhead
from registry import registry
from speed import ROUNDS, speed
from tolerance import tolerance


def main(folder: str) -> None:
    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    for subject in (CNN3, RESNET5, RESNET18):
        network(subject, Path(folder))
    versions = {name: version(name) for name in ("torch", "captum", "mlflow", "prefect")}
    lines = [
        "# Results of `make bench`",
        "",
        f"{_cpu()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, "
        f"{_gpu()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".",
        "",
        "## Speed",
        "",
        f"Medians of {ROUNDS} rounds in which all take turns, each in a process of its own; captum "
        "and the plain loop with the best of two or three batch sizes. Same masks, same network, "
        "25 % blank.",
        "",
        *speed(folder),
        "",
        "## Memory",
        "",
        *memory(folder),
        "",
        "## Stopping by tolerance",
        "",
        *tolerance(folder),
        "",
        "## What an audit adds",
        "",
        *overhead(folder),
        "",
        "## A registry of everything",
        "",
        *registry(),
        "",
        "## Coverage of intervals",
        "",
        "Simulated audits: the share whose 95 % interval holds the truth, and the mean width.",
        "",
        *coverage(),
        "",
        "## Copies that `duplicates` finds",
        "",
        *copies(),
    ]
    results = Path(__file__).with_name("results.md")
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(results.read_text(encoding="utf-8"))


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _gpu() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as temporary:
            main(temporary)
