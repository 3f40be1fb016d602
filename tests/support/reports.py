"""Evidence for pages of the report: few or many classes, long names, ablations, errors, baselines.

Pictures are drawn here, and figures are measured from predictions that are made up.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from audits.checks import ablation, performance, progressive_fill, random_fill
from audits.checks._performance.classes import classes_table
from audits.checks._shared.images import slugs
from audits.config.policy import Condition, Policy
from audits.evidence.by_class import by_class
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, Seen, failed_evidence
from audits.evidence.intervals import paired_difference, proportion
from audits.report.audited import Audited, BaselineShown
from audits.report.pictures import source

DIGITS = tuple(str(n) for n in range(10))
LONG = (
    "tench, Tinca tinca, a fish of still waters that grows to seventy centimetres",
    "三毛猫とても長い名前の猫の種類です",
    "犬",
    "Ångström",
    "<script>alert(1)</script>",
    "\u202eevil\u0007",
    *(f"class {n} of many that all begin alike, number {n}" for n in range(34)),
)
CHECKS = (
    performance.Performance(),
    random_fill.RandomFill(samples=8),
    progressive_fill.ProgressiveFill(),
    ablation.Ablation(),
)
POLICY = Policy(
    conditions=(
        Condition(metric="performance/accuracy", min=0.5),
        Condition(metric="random_fill/prototype_accuracy", min=0.6),
        Condition(metric="random_fill/prototype_accuracy", min_lift=0.1),
        Condition(metric="progressive_fill/accuracy", max_drop=0.05),
    )
)


def performed(classes: tuple[str, ...], right: float = 0.9, each: int = 10) -> Evidence:
    """Evidence of `performance`, with `each` images a class."""
    label, seen = _predictions(len(classes), each, right)
    metrics = performance.Performance().declared_metrics(reference=False)
    found = by_class(label, seen, len(classes))
    measured = {name: m.measured(proportion(label == seen)) for name, m in metrics.items()}
    return Evidence(
        check="performance",
        sentence="The model names some images right.",
        metrics=measured,
        images=pd.DataFrame({"label": label, "predicted": seen}),
        tables={"classes": classes_table(found, label, seen, classes)},
        examples=(
            *(
                Picture(f"performance/{c}", 0, _drawn(c), "image", seen=Seen("image", c, c, c))
                for c in range(min(len(classes), 10))
            ),
            *(
                Picture("performance/mistaken", n, _drawn(n), "wrong answer", seen=one)
                for n, one in enumerate(_mistakes(label, seen))
            ),
        ),
    )


def _mistakes(label: np.ndarray, seen: np.ndarray) -> list[Seen]:
    wrong = np.flatnonzero(label != seen)[:3].tolist()
    return [Seen("mistaken", at, int(label[at]), int(seen[at]), probability=0.93) for at in wrong]


def drawn(classes: tuple[str, ...], right: float = 0.4, each: int = 10) -> Evidence:
    """Evidence of `random_fill`; of class 1 no draw is accepted."""
    label, seen = _predictions(len(classes), each, right)
    seen[label == 1] = -1
    _, null = _predictions(len(classes), each, 0.05, seed=3)
    check = CHECKS[1]
    metrics = {}
    for name, metric in check.declared_metrics(reference=False).items():
        if metric.null is None:
            metrics[name] = metric.measured(proportion(label >= 0))
        else:
            lift = paired_difference(label == seen, label == null)
            own = metric.measured(proportion(label == seen), proportion(label == null), lift)
            metrics[name] = own
    shown, rng = [], np.random.default_rng(0)
    for c in range(min(len(classes), 10)):
        none = "no draw accepted" if c == 1 else ""
        steps = [
            Seen("image", c, c),
            Seen("masked", c, c, missing=none),
            Seen("update", c, c, missing=none),
            Seen("drawing", c, c, int(seen[label == c][0]), none),
            Seen("blanks", c, c, c, none),
            Seen("class", None, c, missing=none),
        ]
        shown += [
            Picture(
                f"random_fill/class_{c}",
                step,
                (_drawn(c) * rng.random((28, 28, 1))).astype(np.uint8),
                caption,
                title=slugs(classes)[c],
                seen=one,
            )
            for step, (one, caption) in enumerate(zip(steps, check.captions(), strict=True))
        ]
    return Evidence(
        check="random_fill",
        sentence="Some of its drawings are recognised.",
        metrics=metrics,
        images=pd.DataFrame({"label": label, "prototype": seen, "composite": label}),
        pictures=tuple(shown),
        examples=tuple(
            Picture(
                "random_fill/nearest", 0, _drawn(c), "", seen=Seen("nearest", c, c, (c + 1) % 3)
            )
            for c in range(min(len(classes), 10))
            if c != 1
        ),
        legend=check.legend,
    )


def filled(classes: tuple[str, ...], right: float = 0.7, each: int = 10) -> Evidence:
    """Evidence of `progressive_fill`, with drops."""
    label, seen = _predictions(len(classes), each, right, seed=5)
    metrics = {}
    for name, metric in CHECKS[2].declared_metrics(reference=False).items():
        own = proportion(label == seen)
        null = None if metric.null is None else proportion(label == -2)
        metrics[name] = metric.measured(own, null, None if null is None else own)
    metrics["accuracy"] = replace(metrics["accuracy"], drop=Estimate(0.02, -0.01, 0.06, len(label)))
    pictures = tuple(
        Picture(
            f"progressive_fill/{c}",
            step,
            _drawn(c),
            caption,
            title=slugs(classes)[c],
            seen=Seen("filled", c, c, int(seen[label == c][0])) if step == 1 else None,
        )
        for c in range(min(len(classes), 10))
        for step, caption in enumerate(("masked", "filled 100%"))
    )
    return Evidence(
        check="progressive_fill",
        sentence="Some images that it has wholly filled in are recognised.",
        metrics=metrics,
        images=pd.DataFrame({"label": label, "recognised": seen}),
        pictures=pictures,
    )


def ablated() -> Evidence:
    """Evidence of `ablation` over a grid of many columns, with a heat map."""
    rows = [
        {
            "mask_ratio": ratio,
            "patch_size": size,
            "update": "first_order",
            "normalise": "positive",
            "binarise": cut,
            "accuracy": 0.5,
            "low": 0.4,
            "high": 0.6,
            "f1_macro": 0.5,
            "accuracy_null": 0.3,
            "accuracy_lift": 0.2,
            "accuracy_lift_low": 0.1,
            "accuracy_lift_high": 0.3,
            "coverage": 1.0,
            "images": 50,
        }
        for ratio in (0.1, 0.25, 0.5)
        for size in (1, 2, 4)
        for cut in ("0.1", "otsu")
    ]
    image = np.full((120, 200, 3), 90, np.uint8)
    declared = CHECKS[3].declared_metrics(reference=False)
    lift = Estimate(0.2, 0.1, 0.3, 50)
    return Evidence(
        check="ablation",
        sentence="Of 18 cells, the one of least lift is like the others.",
        metrics={
            "least_accuracy": declared["least_accuracy"].measured(lift, lift=lift),
            "coverage": declared["coverage"].measured(Estimate(1, 0.9, 1, 50)),
        },
        tables={"cells": pd.DataFrame(rows)},
        pictures=tuple(
            Picture(f"ablation/{name}", 0, image, "first order", small=False)
            for name in ("consistency", "class_0")
        ),
    )


def broken() -> Evidence:
    """Evidence of a check that ended with an error."""
    return failed_evidence("shifts", "error", "the worker was killed", "Traceback: somewhere\n")


def audited(classes: tuple[str, ...], *, baseline: bool = False, **fields: object) -> Audited:
    """All that a page says beside verdict and evidence."""
    other = BaselineShown("models:/digits/1", [drawn(classes, 0.9), filled(classes)], classes)
    return Audited(
        **{
            "title": "digits v2",
            "uri": "models:/digits/2",
            "date": "2026-11-26",
            "data": "digits (test)",
            "images": 10 * len(classes),
            "run_id": "0123456789abcdef0123456789abcdef",
            "run_url": "http://mlflow.example/#/experiments/1/runs/0123456789abcdef0123456789abcdef",
            "classes": classes,
            "baseline": other if baseline else None,
            "checks": CHECKS,
            "notes": ("A note about the images.",),
            "contract": (("channels", "1", "the signature"),),
            "config": "model: models:/digits/2\n",
            "repeat": (("python", "3.11"), ("digest of model", "ab" * 32)),
            **fields,
        }
    )


def _predictions(
    classes: int, each: int, right: float, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of `each` images a class, and predictions of which about a share is right."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(classes), each)
    other = (label + rng.integers(1, max(classes, 2), len(label))) % max(classes, 1)
    return label, np.where(rng.random(len(label)) < right, label, other)


def _drawn(number: int) -> np.ndarray:
    """A picture of its own for each class, uint8 (28, 28, 3)."""
    image = np.zeros((28, 28, 3), np.uint8)
    image[4 + number % 10 : 24, 6:10] = 255
    image[4:8, 6 : 10 + number % 10] = 200
    return image


def inline(image: np.ndarray) -> str:
    """A picture as a data URI."""
    return source(image)
