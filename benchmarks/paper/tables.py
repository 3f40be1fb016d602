"""Writes figures as Markdown tables; measures nothing."""

import math

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import difference, proportion
from fillblanks.masks import default_patch_size
from paper import colour as colours
from paper.measure import Row
from paper.protocol import PAPER, T_PROGRESSIVE

_KINDS = {"plain": "(a)", "noise": "(b)"}
_RANDOM, _PROGRESSIVE = "random_fill", "progressive_fill"
_COLUMNS = (
    "data", "network", "training", "masks", "test accuracy", "any draw accepted",
    "random prototype", "its null",
    "by the reference (its null)", "random composite", "its lift", "progressive", "true class",
    "its null", "by the reference (its null)",
)  # fmt: skip


def table_1(rows: list[Row], nulls: list[Row]) -> str:
    paper = {name: " / ".join(map(str, figures)) for name, figures in PAPER.items()}
    first = ["MNIST", "ResNet5", "*the paper*", "> 10,000", "", "", paper["random"], "", ""]
    first += [paper["random"], "", paper["progressive"], "", "", ""]
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), first]
    lines += [_line(row, f"{_KINDS[row.kind]} {row.kind}") for row in rows]
    lines += [_line(row, f"*null: {row.kind}*") for row in nulls]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(row: Row, training: str) -> list[str]:
    return [
        row.dataset,
        row.network,
        training,
        f"{row.samples:,}",
        _figure(row, "performance/accuracy"),
        _figure(row, f"{_RANDOM}/coverage", spread=False),
        _three(row, f"{_RANDOM}/prototype_accuracy", f"{_RANDOM}/prototype_f1"),
        _figure(row, f"{_RANDOM}/prototype_accuracy_null", spread=False),
        _with_null(row, f"{_RANDOM}/prototype_reference_accuracy"),
        _three(row, f"{_RANDOM}/composite_accuracy", f"{_RANDOM}/composite_f1"),
        _figure(row, f"{_RANDOM}/composite_accuracy_lift", spread=False),
        _three(row, f"{_PROGRESSIVE}/agreement", f"{_PROGRESSIVE}/agreement_f1"),
        _figure(row, f"{_PROGRESSIVE}/accuracy"),
        _figure(row, f"{_PROGRESSIVE}/accuracy_null", spread=False),
        _with_null(row, f"{_PROGRESSIVE}/reference_accuracy"),
    ]


def _figure(row: Row, name: str, spread: bool = True) -> str:
    around = 100 * row.spread(name)
    value = f"{100 * row.means[name]:.1f}"
    return f"{value} ±{around:.1f}" if spread and math.isfinite(around) else value


def _three(row: Row, accuracy: str, f1: str) -> str:
    macro, weighted = (100 * row.means[f"{f1}_{kind}"] for kind in ("macro", "weighted"))
    return f"{_figure(row, accuracy)} / {macro:.1f} / {weighted:.1f}"


def _with_null(row: Row, name: str) -> str:
    return f"{_figure(row, name, spread=False)} ({100 * row.means[f'{name}_null']:.1f})"


def spread(masks: Row) -> str:
    names = {
        "random prototype": f"{_RANDOM}/prototype_accuracy",
        "random composite": f"{_RANDOM}/composite_accuracy",
        "progressive": f"{_PROGRESSIVE}/agreement",
    }
    return ", ".join(f"{label} {_figure(masks, name)} %" for label, name in names.items())


def one_at_a_time(progressive: pd.DataFrame) -> pd.DataFrame:
    """The lines of the progressive grid in which at most one setting is not the usual one."""
    usual = {"label": "step", "normalise": "positive", "binarise": str(T_PROGRESSIVE)}
    parts = []
    for axis in usual:
        others = [name for name in usual if name != axis]
        rows = (progressive[others] == [usual[name] for name in others]).all(axis=1)
        part = progressive[rows]
        parts.append(
            pd.DataFrame(
                {
                    "what moves": axis,
                    "to": part[axis],
                    "training": part["training"],
                    "progressive": 100 * part["agreement"],
                    "true class": 100 * part["accuracy"],
                }
            )
        )
    return _beside(pd.concat(parts), ["what moves", "to"])


def averages(random: pd.DataFrame) -> pd.DataFrame:
    rows = random[(random["normalise"] == "positive") & random["binarise"].isin(["0.05", "0.1"])]
    return _prototypes(rows, ["average", "binarise"])


def cuts(random: pd.DataFrame) -> pd.DataFrame:
    return _prototypes(random[random["average"] == "per_blank"], ["normalise", "binarise"])


def _prototypes(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    figures = pd.DataFrame(
        {
            "training": rows["training"],
            "prototype": 100 * rows["accuracy"],
            "its null": 100 * rows["accuracy_null"],
        }
    )
    return _beside(rows[keys].join(figures), keys)


def _beside(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The figures of (a) and (b) in columns of one line."""
    figures = [name for name in table.columns if name not in (*keys, "training")]
    result = table[keys].drop_duplicates()
    for kind, letter in _KINDS.items():
        part = table[table["training"] == kind].drop(columns="training")
        renamed = part.rename(columns={name: f"{name} {letter}" for name in figures})
        result = result.merge(renamed, on=keys)
    return result


def nearest(random: pd.DataFrame, progressive: pd.DataFrame) -> Bunch:
    """The readings of the open points under which the plain network is nearest to the paper."""
    steps = progressive[progressive["training"] == "plain"]
    untold = steps[steps["label"] != "true"]  # the network is not told the class
    draws = random[random["training"] == "plain"]
    axes = ["label", "normalise", "binarise"]
    shown = {"accuracy": "true class", "accuracy_null": "its null"}
    return Bunch(
        combinations=len(untold),
        agreement=_nearest(untold, "agreement", PAPER["progressive"][0], axes, shown),
        random=_nearest(
            draws,
            "accuracy",
            PAPER["random"][0],
            ["average", "normalise", "binarise"],
            {"accuracy_null": "its null"},
        ),
    )


def _nearest(
    table: pd.DataFrame, figure: str, paper: float, axes: list[str], shown: dict[str, str]
) -> str:
    row = table.loc[(100 * table[figure] - paper).abs().idxmin()]
    reading = ", ".join(f"{axis} `{row[axis]}`" for axis in axes)
    others = ", ".join(f"{told} {100 * row[name]:.1f} %" for name, told in shown.items())
    return f"{100 * row[figure]:.1f} % ({others}) with {reading}"


def largest_lift(cells: pd.DataFrame) -> str:
    found = []
    for kind, letter in _KINDS.items():
        row = cells[cells["training"] == kind].sort_values("accuracy_lift").iloc[-1]
        found.append(
            f"{letter} mask ratio {row['mask_ratio']:g} and patch size {row['patch_size']}, "
            f"{100 * row['accuracy']:.1f} % recognised, lift {100 * row['accuracy_lift']:.1f}"
        )
    return "; ".join(found)


def colour(cells: pd.DataFrame) -> str:
    """A table for each network, with a line for each T and a column for each patch size."""
    parts = []
    for name, table in cells.groupby("network", sort=False):
        shown = pd.DataFrame(
            {
                "T": table["normalise"] + ", " + table["binarise"],
                "patch": table["patch_size"],
                "cell": [
                    f"{100 * value:.0f} ({100 * lift:+.0f})"
                    for value, lift in zip(table["judged"], table["judged_lift"], strict=True)
                ],
            }
        ).pivot(index="T", columns="patch", values="cell")
        shown.columns = [f"{size}x{size}" for size in shown.columns]
        covered = table.groupby("patch_size")["coverage"].first()
        told = ", ".join(f"{size}x{size} {100 * share:.0f} %" for size, share in covered.items())
        cut = colours.best(table, ["normalise", "binarise"]).iloc[0]
        size = colours.best(table, ["patch_size"]).iloc[0]
        best = (
            f"Largest mean lift: T `{cut['normalise']}`, `{cut['binarise']}` "
            f"({100 * cut['judged_lift']:+.0f}); patches of {size['patch_size']:.0f} pixels "
            f"({100 * size['judged_lift']:+.0f})."
        )
        parts.append(
            f"**{name}**, {table['images'].iloc[0]} images. Images of which any masked version is "
            f"predicted right: {told}. {best if cut['judged_lift'] > 0 else 'No lift anywhere.'}"
            f"\n\n{markdown(shown.reset_index())}"
        )
    return "\n\n".join(parts)


def markdown(table: pd.DataFrame) -> str:
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return "-" if math.isnan(value) else f"{value:.1f}"


def defaults(cells: pd.DataFrame) -> Bunch:
    """Sentences about the defaults of `fillblanks` at 32x32 and at 224x224."""
    plain, noise, photographs = (cells[cells["network"] == n] for n in cells["network"].unique())
    at_large = photographs.groupby("patch_size")["coverage"].first()
    usual = default_patch_size(224, 224)
    return Bunch(
        small=f"{_default_told(plain)} for the plain network, and {_default_told(noise)} for the "
        "one with noise",
        recognised=100 * photographs["judged"].max(),
        covered=100 * at_large[usual],
        others=", ".join(
            f"{100 * share:.0f} % with {size}" for size, share in at_large.items() if size != usual
        ),
    )


def _default_told(cells: pd.DataFrame) -> str:
    """Lift and coverage of the default T and patch size at 32x32."""
    chosen = (cells["normalise"] == "positive") & (cells["binarise"] == "0.1")
    own = cells[chosen & (cells["patch_size"] == default_patch_size(32, 32))].iloc[0]
    lift = difference(*(_share(own[name], own["images"]) for name in ("judged", "judged_null")))
    rank = int((cells["judged_lift"] > own["judged_lift"]).sum()) + 1
    return (
        f"a lift of {100 * lift.value:.0f} (95 % interval {100 * lift.low:.0f} to "
        f"{100 * lift.high:.0f}, number {rank} of {len(cells)}) and a coverage of "
        f"{100 * own['coverage']:.0f} %"
    )


def _share(value: float, images: int) -> Estimate:
    return proportion(np.arange(images) < round(value * images))
