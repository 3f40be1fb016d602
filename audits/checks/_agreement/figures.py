"""The figures of `agreement`: correlations beside two nulls, MeGe and ReCo, and the sentence."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks._shared.nulls import against_all
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import TAIL, bounded_mean, proportion
from audits.evidence.metric import Metric, Null
from fillblanks.attribution.agreement import distances, mege, reco, spearman_with_others
from fillblanks.attribution.ranks import is_flat, spearman

LEAST_PAIRS = 10  # of answers that differ, and of those that do not, for ReCo
_RESAMPLES, _SHUFFLES = 1000, 200

COLUMN_WORDS = {
    "version": "the other version",
    "class": "class",
    "images": "images",
    "same_answers": "same answers",
    "correlation": "correlation of maps",
    "other_images": "maps of other images",
    "permuted": "permuted weights",
    "lift": "lift over both",
    "lift_low": "from",
    "lift_high": "to",
}
"""The columns of the tables, in words."""


def declared() -> dict[str, Metric]:
    """The metrics, not measured yet."""
    return {
        "correlation": Metric(
            "rank correlation of the model's maps with those of its other versions",
            unit="difference",
            null=Null("the better of maps of other images and of permuted weights"),
            clause="has maps with a rank correlation of {} with those of its other versions",
        ),
        "own": Metric(
            "rank correlation of the model's maps with its own from other masks",
            better=None,
            unit="difference",
        ),
        "mege": Metric("MeGe of the maps, which a map of the centre alone takes to 1", better=None),
        "reco": Metric("ReCo: how well distances of maps tell whether answers agree", better=None),
        "coverage": Metric(
            "images for which all versions give a class, and maps that vary", is_coverage=True
        ),
    }


class Compared(NamedTuple):
    """All images, with the maps of the model compared with those of V versions."""

    columns: dict[str, np.ndarray]  # index, label and read of the images, int64 (n,)
    own: np.ndarray  # with the model's own maps from other masks, float64 (n,)
    with_versions: np.ndarray  # rank correlations, float64 (n, V)
    with_others: np.ndarray  # of other images, float64 (n, V)
    with_permuted: np.ndarray | None  # of the model with permuted weights, float64 (n, V)
    right: np.ndarray  # bool (n,): the model's answers
    rights: np.ndarray  # bool (n, V): the versions' answers
    same: np.ndarray  # bool (n, V): whether both give one class
    known: np.ndarray  # bool (n,): whether all give a class
    flat: np.ndarray  # bool (n,): whether a map has one value, so that it correlates with none
    flat_permuted: int  # images whose map with permuted weights has one value

    @property
    def nulls(self) -> list[np.ndarray]:
        """The nulls that there are, float64 (n, V) each."""
        return [self.with_others] + ([] if self.with_permuted is None else [self.with_permuted])

    def values(self, at: slice | int = slice(None)) -> np.ndarray:
        """The correlation and its nulls for each image, a mean over versions: (n, 1 + m)."""
        both = [self.with_versions, *self.nulls]
        return np.stack([one[:, at].reshape(len(one), -1).mean(1) for one in both], 1)


def compared(parts: Sequence[Part]) -> Compared:
    """All comparisons. A map of one value has a correlation of 0 with every other.

    Raises NotApplicable for fewer than two images.
    """
    names = ["index", "label", "read", "reads", "map", "again", "maps"]
    weights = all("permuted" in part for part in parts)
    found = {
        name: np.concatenate([part[name] for part in parts])
        for name in (*names, *(["permuted"] if weights else []))
    }
    if len(found["index"]) < 2:
        raise NotApplicable("Expected two images or more, whose maps can be exchanged.")
    label, read, reads = (found[name] for name in ("label", "read", "reads"))
    own = torch.from_numpy(found["map"])
    versions = torch.from_numpy(found["maps"]).unbind(1)

    def of_each(figure: Callable[[Tensor, Tensor], Tensor], by: Tensor = own) -> np.ndarray:
        values: np.ndarray = torch.stack([figure(by, one) for one in versions], 1).numpy()
        return values

    near = of_each(spearman)
    # A network that gives no answer with permuted weights tells nothing of chance: the null is the
    # correlation itself, so that there is no lift.
    permuted = torch.from_numpy(found["permuted"]) if weights else own[:0]
    silent = is_flat(permuted).numpy()
    return Compared(
        {name: found[name] for name in ("index", "label", "read")},
        spearman(own, torch.from_numpy(found["again"])).numpy(),
        near,
        of_each(spearman_with_others),
        np.where(silent[:, None], near, of_each(spearman, permuted)) if weights else None,
        read == label,
        reads == label[:, None],
        (reads == read[:, None]) & (reads >= 0),
        (read >= 0) & (reads >= 0).all(1),
        (is_flat(own) | is_flat(torch.from_numpy(found["maps"])).any(1)).numpy(),
        int(silent.sum()),
    )


def measured(found: Compared) -> dict[str, Metric]:
    """The metrics with their figures."""
    metrics = declared()
    return {
        "correlation": against_all(metrics["correlation"], found.values(), -1),
        "own": metrics["own"].measured(bounded_mean(found.own, -1)),
        "mege": metrics["mege"].measured(_mege(found)),
        "reco": metrics["reco"].measured(_reco(found)),
        "coverage": metrics["coverage"].measured(proportion(found.known & ~found.flat)),
    }


def pairs(found: Compared) -> tuple[np.ndarray, np.ndarray]:
    """Which comparisons are of S= (both right) and of S!= (one of them right), bool (n, V) each."""
    right = found.right[:, None]
    return right & found.rights, right != found.rights


def _mege(found: Compared) -> Estimate:
    same, _ = pairs(found)
    return _over_images(found, lambda near, far: mege(near), bool(same.any()))


def _reco(found: Compared) -> Estimate:
    same, different = pairs(found)
    return _over_images(found, reco, min(same.sum(), different.sum()) >= LEAST_PAIRS)


def _over_images(
    found: Compared, figure: Callable[[Tensor, Tensor], float], applies: bool
) -> Estimate:
    """A figure of the distances in S= and S!=, with a bootstrap over images; or UNMEASURED."""
    if not applies:
        return UNMEASURED
    same, different = map(torch.from_numpy, pairs(found))
    far = distances(torch.from_numpy(found.with_versions))
    value = figure(far[same], far[different])
    drawn = torch.Generator().manual_seed(0)
    again = []
    for _ in range(_RESAMPLES):
        rows = torch.randint(len(far), (len(far),), generator=drawn)
        again.append(figure(far[rows][same[rows]], far[rows][different[rows]]))
    low, high = np.nanquantile(again, [TAIL, 1 - TAIL])
    return Estimate(value, min(float(low), value), max(float(high), value), len(far))


def reco_by_chance(found: Compared) -> float:
    """The mean ReCo if the answers are exchanged between the comparisons."""
    same, different = map(torch.from_numpy, pairs(found))
    far = distances(torch.from_numpy(found.with_versions))
    both, count = torch.cat([far[same], far[different]]), int(same.sum())
    drawn = torch.Generator().manual_seed(0)
    orders = (torch.randperm(len(both), generator=drawn) for _ in range(_SHUFFLES))
    return float(np.mean([reco(both[order[:count]], both[order[count:]]) for order in orders]))


def versions_table(found: Compared, names: Sequence[str]) -> pd.DataFrame:
    """A row for each version."""
    rows = []
    for at, name in enumerate(names):
        row = {"version": name, "same_answers": found.same[:, at].mean()}
        rows.append(row | _row(found.values(at), found))
    return pd.DataFrame(rows)


def classes_table(found: Compared, classes: Sequence[str]) -> pd.DataFrame:
    """A row for each class that has images, those first whose maps agree least."""
    rows, labels, values = [], found.columns["label"], found.values()
    for label in np.unique(labels).tolist():
        own = labels == label
        row = {"class": classes[label], "images": int(own.sum())}
        rows.append(row | _row(values[own], found))
    return pd.DataFrame(rows).sort_values("lift", kind="stable").reset_index(drop=True)


def _row(values: np.ndarray, found: Compared) -> dict[str, float]:
    means, lift = values.mean(0), against_all(declared()["correlation"], values, -1).lift
    assert lift is not None
    row = {"correlation": means[0], "other_images": means[1]}
    if found.with_permuted is not None:
        row["permuted"] = means[2]
    return row | {"lift": lift.value, "lift_low": lift.low, "lift_high": lift.high}


def images_columns(found: Compared) -> dict[str, np.ndarray]:
    """Of each image: its index and classes, its correlation and that of the nulls."""
    names = ("correlation", "other_images", "permuted")
    values = dict(zip(names, found.values().T, strict=False))
    return {**found.columns, **values, "own": found.own}


def sentence(
    found: Compared, metrics: Mapping[str, Metric], by_version: pd.DataFrame, by_class: pd.DataFrame
) -> str:
    """The meaning of the figures, in plain words."""
    count, values = found.with_versions.shape[1], found.values().mean(0)
    others = f"those of {count} other versions" if count > 1 else "those of the other version"
    nulls = f"maps of other images {values[1]:.2f}"
    if found.with_permuted is not None:
        nulls += f", with permuted weights {values[2]:.2f}"
    own = metrics["own"].estimate.value
    told = (
        f"The model's maps have a rank correlation of {values[0]:.2f} with {others} ({nulls}; its "
        f"own maps with other masks {own:.2f})."
    )
    if found.with_permuted is None:
        told += " It has no weights that can be permuted: that null is left out."
    if found.flat.any():
        told += (
            f" For {found.flat.sum()} of {len(found.flat)} images a map has one value everywhere: "
            "they count with a correlation of 0, and coverage leaves them out."
        )
    if found.flat_permuted:
        told += (
            f" With permuted weights {found.flat_permuted} of {len(found.flat)} maps have one "
            "value everywhere: for these images the agreement counts as no more than chance."
        )
    lift = metrics["correlation"].lift
    if lift is None or not lift.low > 0:
        told += " They are not shown to agree by more than chance."
    if count > 1:
        least = by_version.sort_values("lift", kind="stable").iloc[0]
        told += f" They agree least with {least['version']}, {least['correlation']:.2f}."
    if len(by_class) > 1:
        first = by_class.iloc[0]
        told += f" The lift is least for {first['class']!r}, {first['lift']:.2f}."
    return f"{told} {_reco_told(found, metrics['reco'].estimate)}"


def _reco_told(found: Compared, estimate: Estimate) -> str:
    same, different = (int(one.sum()) for one in pairs(found))
    if not estimate.n:
        return (
            f"ReCo does not apply: it needs {LEAST_PAIRS} comparisons in which both models are "
            f"right and {LEAST_PAIRS} in which one is, got {same} and {different}."
        )
    return (
        f"Whether answers differ can be told from the maps with a ReCo of {estimate.value:.2f} "
        f"(by chance {reco_by_chance(found):.2f}; {different} comparisons in which one model is "
        "right)."
    )
