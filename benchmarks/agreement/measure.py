"""The figures: versions of small networks beside each other, and beside maps of the object.

Networks of Fashion-MNIST are trained on disjoint images (folds); those of CIFAR-10 on the same
images with other random numbers (seeds), since the data folder has no more.
"""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from truth.data import Dataset
from truth.zoo import Kind, Specimen

from audits.checks._agreement.figures import (
    Compared,
    compared,
    measured,
    pairs,
    reco_by_chance,
)
from audits.checks._agreement.trial import trial
from audits.checks._human_maps.figures import against_others, figures_of
from audits.checks._shared.maps import Method
from audits.checks.context import AuditContext, Unit
from audits.data.built import of_arrays
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from fillblanks import Classifier, Plan
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.patch_means import centre_patches, patch_means
from fillblanks.attribution.permuted import permuted_weights

PATCH, DRAWS, IMAGES = 4, 512, 100
CLEAN = range(3000, 3003)  # seeds that no other benchmark has
MARKED = range(3000, 3020)  # of which the first network that learns its mark is taken
OCCLUSION = Method("occlusion", PATCH, 1, 0.25, 0.2, 0.08, "black")
_OF_MARK, _OTHERS = "class of the mark", "other classes"
_SEED, _CHUNK = 0, 256

Row = dict[str, Any]


def rows(folder: Path, *, quick: bool) -> dict[str, list[Row]]:
    """All figures; those of an earlier run are kept in `folder`."""
    images, draws = (20, 32) if quick else (IMAGES, DRAWS)
    datasets: tuple[Dataset, ...] = ("FashionMNIST",) if quick else ("FashionMNIST", "CIFAR10")
    found: dict[str, list[Row]] = {"versions": [], "marked": [], "people": []}
    for dataset in datasets:
        for kind, figures in (("marked", _marked), ("people", _people), ("versions", _versions)):
            if kind == "people" and dataset != "FashionMNIST":
                continue  # no maps of the object
            given = (dataset, folder, images, *([draws] if kind == "versions" else []))
            key = "-".join(map(str, (kind, dataset.lower(), *given[2:])))
            found[kind] += _kept(folder / f"{key}.json", figures, given)
            print(key, flush=True)
    return found


def _kept(file: Path, figures: Callable[..., list[Row]], given: tuple[Any, ...]) -> list[Row]:
    if not file.exists():
        found = figures(*given)
        file.write_text(json.dumps(found))
    kept: list[Row] = json.loads(file.read_text())
    return kept


def _specimen(dataset: Dataset, kind: Kind, seed: int) -> Specimen:
    return Specimen(dataset, "ResNet", kind, seed)


def _versions(dataset: Dataset, folder: Path, images: int, draws: int) -> list[Row]:
    """One network with two others, by two methods, and two cases without any knowledge."""
    nets = [_specimen(dataset, "none", seed).classifier(folder) for seed in CLEAN]
    pictures, labels = _specimen(dataset, "none", CLEAN[0]).audited(marked=False)
    given = pictures[:images], labels[:images]
    found = []
    for name, method in (("blank_difference", _method(draws)), ("occlusion", OCCLUSION)):
        part = _part(given, nets, method)
        told = f"{name}, {draws} draws" if method.name == "blank_difference" else name
        found.append(_row(dataset, told, compared([part])))
    nothing = copy.deepcopy(nets[0])
    with permuted_weights(nothing.net, _SEED + 1):
        part = _part(given, [nets[0], nothing], _method(draws))
    found.append(_row(dataset, "a version with permuted weights", compared([part])))
    centre = centre_patches(*pictures.shape[2:], PATCH).numpy()
    always = compared([_always(part, centre)])
    return [*found, _row(dataset, "a map of the centre, always", always)]


def _marked(dataset: Dataset, folder: Path, images: int) -> list[Row]:
    """A network that was trained with a mark on one class, or a clean one, beside clean ones.

    The images of the class carry the mark. Maps are those of occlusion.
    """
    specimen = _learnt(dataset, folder)
    pictures, labels, own = _with_mark(specimen, images)
    marked = specimen.classifier(folder)
    first, *others = (_specimen(dataset, "none", seed).classifier(folder) for seed in CLEAN)
    turned, found = specimen.turned(marked), []
    for told, net in (("marked", marked), ("clean", first)):
        both = compared([_part((pictures, labels), [net, *others], OCCLUSION)])
        for of, chosen in ((_OF_MARK, own), (_OTHERS, ~own)):
            row = _row(dataset, told, _only(both, chosen.numpy()))
            found.append({**row, "images_of": of, "turned": turned})
    return found


def _people(dataset: Dataset, folder: Path, images: int) -> list[Row]:
    """Maps of the garment stand in for maps by people: the blurred image without its mark."""
    specimen = _learnt(dataset, folder)
    pictures, labels, own = _with_mark(specimen, images)
    plain, _, _ = _with_mark(specimen, images, marked=False)
    people = patch_means(functional.avg_pool2d(plain[:, 0], 5, 1, 2), PATCH)
    networks = {
        "clean": _specimen(dataset, "none", CLEAN[0]).classifier(folder),
        "marked": specimen.classifier(folder),
    }
    maps = {told: _maps(net, pictures, labels, OCCLUSION) for told, net in networks.items()}
    maps["a map of the centre"] = centre_patches(*plain.shape[2:], PATCH).expand_as(people)
    found = []
    for told, values in maps.items():
        figures = figures_of(values, people)
        for of, chosen in ((_OF_MARK, own), (_OTHERS, ~own)):
            row: Row = {"name": told, "images_of": of, "n": int(chosen.sum())}
            only = {name: one[chosen.numpy()] for name, one in figures.items()}
            for name, metric in against_others(only).items():
                assert metric.lift is not None
                row[name] = only[name].mean(0).tolist()
                row[f"{name}_lift"] = _told(metric.lift)
            found.append(row)
    return found


def _learnt(dataset: Dataset, folder: Path) -> Specimen:
    """The first network that has learnt its mark. Raises RuntimeError if none has."""
    for seed in MARKED:
        one = _specimen(dataset, "fixed", seed)
        if one.has_learnt(one.turned(one.classifier(folder))):
            return one
    raise RuntimeError(
        f"Expected a network of {dataset} that learns its mark, got {MARKED} without."
    )


def _with_mark(
    specimen: Specimen, images: int, *, marked: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Test images: all of the specimen's class with the mark, as many of other classes.

    With their labels, and whether they are of the class, bool (n,).
    """
    assert specimen.mark is not None  # of this kind
    pictures, labels = specimen.audited(marked=False)
    own, rest = ((labels == specimen.mark.label) == one for one in (True, False))
    chosen = torch.cat([one.nonzero()[:images, 0] for one in (own, rest)])
    pictures, labels = pictures[chosen].clone(), labels[chosen]
    own = labels == specimen.mark.label
    if marked:
        pictures[own] = specimen.mark.on(pictures[own], specimen.seed + 1)
    return pictures, labels, own


def _only(found: Compared, chosen: np.ndarray) -> Compared:
    """Some of the images; their nulls stay those of all."""
    columns = {name: one[chosen] for name, one in found.columns.items()}
    arrays = {
        name: one[chosen] for name, one in found._asdict().items() if isinstance(one, np.ndarray)
    }
    return found._replace(**{**arrays, "columns": columns})


def _method(draws: int) -> Method:
    return OCCLUSION._replace(name="blank_difference", draws=draws)


def _maps(classifier: Classifier, pictures: Tensor, labels: Tensor, method: Method) -> Tensor:
    with classifier.steady():
        maps = method.maps(
            probabilities_of(classifier),
            pictures,
            labels,
            seed=_SEED,
            indices=torch.arange(len(labels)),
            chunk=_CHUNK,
        )
    return patch_means(maps, PATCH)


def _part(given: tuple[Tensor, Tensor], nets: Sequence[Classifier], method: Method) -> Part:
    """The maps of the first network and of the others, as the check measures them."""
    pictures, labels = given
    arrays = (pictures.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    images = of_arrays("images", arrays, labels.numpy(), tuple(map(str, range(10))))
    own, *others = nets
    audit = AuditContext(images, _SEED, Plan(chunk=_CHUNK), own, versions=tuple(others))
    return trial(audit, Unit(0, tuple(range(len(labels)))), method)


def _always(part: Part, values: np.ndarray) -> Part:
    """All maps replaced by one."""
    one = np.broadcast_to(values, part["map"].shape)
    maps = np.broadcast_to(values, part["maps"].shape)
    return {**part, "map": one, "again": one, "maps": maps}


def _row(dataset: Dataset, name: str, found: Compared) -> Row:
    metrics = measured(found)
    correlation, reco = metrics["correlation"], metrics["reco"].estimate
    assert correlation.lift is not None
    return {
        "dataset": dataset,
        "name": name,
        "n": len(found.own),
        "accuracy": float(found.right.mean()),
        "correlation": _told(correlation.estimate),
        "nulls": [float(one.mean()) for one in found.nulls],
        "lift": _told(correlation.lift),
        "own": float(found.own.mean()),
        "mege": _told(metrics["mege"].estimate),
        "reco": _told(reco),
        "reco_by_chance": reco_by_chance(found) if reco.n else None,
        "differing": int(pairs(found)[1].sum()),
    }


def _told(estimate: Estimate) -> list[float] | None:
    return [estimate.value, estimate.low, estimate.high] if estimate.n else None
