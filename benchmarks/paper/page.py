"""The page: measures everything in order, and writes it with `page.md.j2`."""

import math
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from prose import filled, machine, page_template
from sklearn.utils import Bunch

from paper import colour, grids, pictures, protocol, tables
from paper.measure import Bench, Row
from paper.protocol import PAPER, QUICK, Size
from paper.recipes import RATES
from paper.study import Study

_VERSIONS = ("fillblanks", "torch", "torchvision", "mlflow", "scikit-learn", "numpy")


def write(size: Size, folder: Path, page: Path) -> None:
    """Measures with this size and writes the page; pictures go to a folder beside it."""
    study = Study(folder)
    bench = Bench(study, size)
    drawn = page.parent / page.stem
    drawn.mkdir(parents=True, exist_ok=True)

    rows, nulls = list(bench.table()), list(bench.nulls())
    measured = Bunch(
        masks=bench.mask_seeds(),
        convergence=bench.convergence(),
        open_points=grids.open_points(bench),
        figure_4=grids.figure_4(bench, drawn),
        orders=grids.orders(bench),
        cells=_colour(bench, drawn),
    )
    for number in (1, 2, 3, 5, 6):
        getattr(pictures, f"figure_{number}")(bench, drawn / f"figure_{number}.png")
    study.say("figures")
    text = _page(bench, rows, nulls, measured, drawn.name)
    page.write_text(filled(text), encoding="utf-8")
    random, progressive = measured.open_points
    tested = {"open_random": random, "open_progressive": progressive, "orders": measured.orders}
    _record(rows + nulls, tested, page, drawn)
    study.say(f"written to {page}")
    study.done()


def _colour(bench: Bench, drawn: Path) -> pd.DataFrame:
    plain, noise, photographs = *colour.cifar(bench), colour.photographs(bench)
    cells = [colour.cells(bench, subject) for subject in (plain, noise, photographs)]
    colour.draw(noise, drawn / "cifar10.png")
    colour.draw(photographs, drawn / "photographs.png")
    return pd.concat(cells)


def _page(bench: Bench, rows: list[Row], nulls: list[Row], measured: Bunch, folder: str) -> str:
    size, study = bench.size, bench.study
    template = page_template(Path(__file__).parent, lstrip_blocks=False)
    plain, noise = rows[0], rows[1]
    random, progressive = measured.open_points
    return template.render(
        protocol=protocol,
        size=size,
        quick=size is QUICK,
        folder=folder,
        percent=lambda share: f"{100 * share:.1f}".removesuffix(".0"),
        audits=study.audits,
        table_1=tables.table_1(rows, nulls),
        reached=Bunch(plain=_reached(plain), noise=_reached(noise)),
        points=lambda a, b: f"{100 * (a - b):.1f}",
        fashion=_kinds(rows, "FashionMNIST", "ResNet5"),
        cnn=_kinds(rows, "MNIST", "CNN3"),
        plain=plain.means,
        noise=noise.means,
        nulls={row.kind: row.means for row in nulls},
        masks=measured.masks,
        mask_spread=tables.spread(measured.masks),
        convergence=tables.markdown(measured.convergence),
        open_progressive=tables.markdown(tables.one_at_a_time(progressive)),
        open_average=tables.markdown(tables.averages(random)),
        open_cut=tables.markdown(tables.cuts(random)),
        nearest=tables.nearest(random, progressive),
        figure_4=tables.largest_lift(measured.figure_4),
        orders=tables.markdown(measured.orders),
        colour=tables.colour(measured.cells),
        defaults=tables.defaults(measured.cells),
        minutes=study.seconds / 60,
        machine=machine(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {version(name)}" for name in _VERSIONS),
        epochs=", ".join(
            f"{name} {'noise' if noisy else 'plain'} {count}"
            for (name, noisy), count in size.epochs.items()
        ),
        rates=", ".join(f"{name} {RATES[name]:g}" for name in protocol.NETWORKS),
        sizes=_sizes(size),
    )


def _kinds(rows: list[Row], dataset: str, network: str) -> Bunch:
    found = [row for row in rows if (row.dataset, row.network) == (dataset, network)]
    return Bunch(**{row.kind: row.means for row in found})


def _reached(row: Row) -> bool:
    """Whether the row has the paper's figures, which are whole per cents: accuracy and both F1."""
    found = [
        *_scores(row, "random_fill/prototype_accuracy", "random_fill/prototype_f1"),
        *_scores(row, "random_fill/composite_accuracy", "random_fill/composite_f1"),
        *_scores(row, "progressive_fill/agreement", "progressive_fill/agreement_f1"),
    ]
    wanted = [*PAPER["random"], *PAPER["random"], *PAPER["progressive"]]
    return all(round(100 * share) >= figure for share, figure in zip(found, wanted, strict=True))


def _scores(row: Row, accuracy: str, f1: str) -> list[float]:
    return [row.means[accuracy], row.means[f"{f1}_macro"], row.means[f"{f1}_weighted"]]


def _sizes(size: Size) -> str:
    values: dict[str, Any] = {k: v for k, v in asdict(size).items() if k != "epochs"}
    return ", ".join(f"`{name}` {value}" for name, value in values.items())


def _record(rows: list[Row], found: dict[str, pd.DataFrame], page: Path, drawn: Path) -> None:
    """The page and its figures as a run in MLflow, beside the runs of its audits."""
    mlflow.set_experiment("paper")
    with mlflow.start_run(run_name="paper"):
        for row in rows:
            place = f"{row.dataset}/{row.network}/{row.kind.replace(' ', '_')}"
            finite = {f"{place}/{k}": v for k, v in row.means.items() if math.isfinite(v)}
            mlflow.log_metrics(finite)
        for name, table in found.items():
            mlflow.log_text(table.to_csv(index=False), f"{name}.csv")
        mlflow.log_artifact(str(page))
        mlflow.log_artifacts(str(drawn), drawn.name)
