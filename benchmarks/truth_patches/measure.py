"""The checks of patches on one network, as an audit runs them with these settings."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from truth.measure import concluded, context, measured
from truth.row import Row
from truth.zoo import Specimen

from audits.checks._human_maps.figures import figures_of
from audits.checks._shared.maps import Method
from audits.checks.blank_attack import BlankAttack
from audits.checks.blank_proof import BlankProof
from audits.checks.context import AuditContext
from audits.checks.sufficient_patches import SufficientPatches
from audits.errors import NotApplicable
from fillblanks import Classifier
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.patch_means import patch_means
from truth_patches.scores import (
    BOUNDS,
    INTO,
    OBJECT,
    OBJECT_CLASS,
    SAME,
    SHARE,
    UNPROVEN,
    Score,
    least_lift,
    most_same_patch,
    smallest_share,
    turned_into,
)

IMAGES = 100
CHECKS = (
    SufficientPatches(images=IMAGES),
    BlankAttack(images=40),
    BlankProof(images=12, blanks=3, optimised=0),
)
MAPS = Method("occlusion", 4, 1, 0.25, 0.2, 0.08, "black")
_SMOOTHED = 5  # pixels of the square over which the object's brightness is averaged
_CLASSES = 10
_CHUNK = 256


def examined(specimen: Specimen, folder: Path) -> tuple[float, float | None, list[Row]]:
    """Accuracy, the share of images that the mark turns (None without), and the rows of checks.

    There are no rows of a mark that was not learnt.
    """
    classifier = specimen.classifier(folder)
    images, labels = specimen.audited(marked=True)
    with classifier.steady(), torch.no_grad():
        accuracy = float((classifier.predict(images) == labels).float().mean())
    turned = specimen.turned(classifier) if specimen.is_marked else None
    if turned is not None and not specimen.has_learnt(turned):
        return accuracy, turned, []
    audit = context(specimen, classifier, images, labels)
    own: list[Callable[[], Iterator[Row]]] = [
        lambda: _sufficient(specimen, audit),
        lambda: _attacked(specimen, audit),
        lambda: _proven(specimen, audit),
    ]
    if specimen.dataset != "CIFAR10":  # a photograph has no black background
        own.append(lambda: _beside_objects(specimen, classifier, images, labels))
    return accuracy, turned, [row for stage in own for row in stage()]


def _sufficient(specimen: Specimen, audit: AuditContext) -> Iterator[Row]:
    began = time.process_time()
    try:
        check = CHECKS[0].settled(audit.shape)
        parts = measured(check, audit)
        _, evidence = concluded(check, audit, parts)
    except NotApplicable as reason:
        yield from (Row.inapplicable(name, reason) for name in (SHARE, SAME))
        return
    table, seconds = evidence.tables["classes"], time.process_time() - began
    told = ", ".join(
        f"{name} {evidence.metrics[name].estimate.value:.3f}" for name in ("share", "gain")
    )
    yield _row(SHARE, smallest_share(table), specimen, seconds, told)
    counting = evidence.images["counts"].to_numpy()
    read, kept = (np.concatenate([part[name] for part in parts]) for name in ("read", "kept"))
    yield _row(SAME, most_same_patch(read[counting], kept[counting]), specimen, seconds, told)


def _attacked(specimen: Specimen, audit: AuditContext) -> Iterator[Row]:
    began = time.process_time()
    check = CHECKS[1].settled(audit.shape)
    parts = measured(check, audit)
    _, evidence = concluded(check, audit, parts)
    read, worst = (
        np.concatenate([part[name] for part in parts]) for name in ("read", "worst_read")
    )
    told = ", ".join(
        f"{name} {evidence.metrics[name].estimate.value:.3f}"
        for name in ("broken", "random_broken")
    )
    score = turned_into(read, worst, _CLASSES)
    yield _row(INTO, score, specimen, time.process_time() - began, told)


def _proven(specimen: Specimen, audit: AuditContext) -> Iterator[Row]:
    began = time.process_time()
    check = CHECKS[2].settled(audit.shape)
    try:
        _, evidence = concluded(check, audit, measured(check, audit))
    except NotApplicable as reason:
        yield Row.inapplicable(UNPROVEN, reason)
        return
    share = evidence.metrics["proven"].estimate.value
    told = f"proven {share:.3f}, broken {evidence.metrics['broken'].estimate.value:.3f}"
    yield _row(UNPROVEN, Score(1 - share), specimen, time.process_time() - began, told)


def _beside_objects(
    specimen: Specimen, classifier: Classifier, images: Tensor, labels: Tensor
) -> Iterator[Row]:
    """Maps of the network beside the object: the brightness of the image without its mark."""
    began = time.process_time()
    plain = specimen.audited(marked=False)[0][:IMAGES].mean(1, keepdim=True)
    images, labels = images[:IMAGES], labels[:IMAGES]
    size = MAPS.patch_size
    objects = patch_means(functional.avg_pool2d(plain, _SMOOTHED, 1, _SMOOTHED // 2)[:, 0], size)
    with classifier.steady():
        maps = MAPS.maps(
            probabilities_of(classifier),
            images,
            labels,
            seed=0,
            indices=torch.arange(len(images)),
            chunk=_CHUNK,
        )
    lifts = -np.diff(figures_of(patch_means(maps, size), objects)["spearman"], axis=1)[:, 0]
    told, seconds = f"lift {lifts.mean():.3f}", time.process_time() - began
    yield _row(OBJECT, Score(-float(lifts.mean())), specimen, seconds, told)
    yield _row(OBJECT_CLASS, least_lift(lifts, labels.numpy()), specimen, seconds, told)


def _row(name: str, score: Score, specimen: Specimen, seconds: float, detail: str) -> Row:
    mark, bound = specimen.mark, BOUNDS.get(name)
    is_class = None if mark is None or score.label is None else score.label == mark.label
    accused = None if bound is None else score.value > bound
    return Row(name, score.value, accused, is_class, None, seconds, None, detail)
