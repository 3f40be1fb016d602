"""Memory of fills for ever more draws and images; each measurement has its own process."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from contenders import plan_of
from networks import DATA, RESNET5, network

from audits.checks.context import AuditContext
from audits.checks.random_fill import RandomFill
from audits.data import sources
from audits.data.sources import Torchvision
from audits.execution.peak import peak_gib
from fillblanks import Classifier, expected_fill


def memory(folder: str) -> list[str]:
    """Markdown lines."""
    draws = [_peak(_fill, folder, n) for n in (1_000, 10_000, 100_000)]
    images = [_peak(_audit, folder, n) for n in (10, 100, 10_000)]
    return [
        "| peak memory, MiB | | | |",
        "|---|---|---|---|",
        "| draws of 16 images | 1,000 | 10,000 | 100,000 |",
        f"| {RESNET5.name} | {' | '.join(f'{mib:,.0f}' for mib in draws)} |",
        "| images of an audit, 16 draws each | 10 | 100 | 10,000 |",
        f"| {RESNET5.name} | {' | '.join(f'{mib:,.0f}' for mib in images)} |",
    ]


def _peak(function: Callable[[str, int], None], folder: str, count: int) -> float:
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_measured, function, folder, count).result()


def _measured(function: Callable[[str, int], None], folder: str, count: int) -> float:
    function(folder, count)
    return peak_gib() * 1024


def _fill(folder: str, draws: int) -> None:
    images, labels = RESNET5.images(16)
    classifier = Classifier(network(RESNET5, Path(folder)))
    share = draws // len(images)
    plan = plan_of(RESNET5)
    expected_fill(classifier, images, labels, samples=share, max_draws=share, plan=plan)


def _audit(folder: str, count: int) -> None:
    # All images are loaded in every case; the number of audited images differs.
    images = sources.load(Torchvision(dataset="MNIST", root=str(DATA)))
    model = Classifier(network(RESNET5, Path(folder)), constant=True)
    audit = AuditContext(images, seed=0, plan=plan_of(RESNET5), model=model)
    check = RandomFill(images=count, samples=16, max_draws=16)
    for unit in check.units(audit):
        check.measure(audit, unit)
