"""Grids over one network: the open points, mask ratio x patch size, the order of the update."""

from pathlib import Path

import pandas as pd
from PIL import Image

from audits.checks.ablation import Ablation
from audits.checks.progressive_fill import ProgressiveFill
from paper.measure import Bench
from paper.protocol import DATASETS, MASK_RATIO, NETWORKS, PATCH_SIZE, T_PROGRESSIVE, T_RANDOM
from paper.study import config_of, evidence_of, image_set

_DATASET, _NETWORK = DATASETS[0], NETWORKS[0]
_KINDS = ("plain", "noise")
_CUTS = (0.05, 0.1, 0.2, 0.3, 0.5, "otsu", None)
_NORMALISE = ("positive", "minmax", "none")


def open_points(bench: Bench) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The figures under each choice that the paper leaves open: random test, progressive test."""
    images = image_set(_DATASET, "test")
    random, progressive = [], []
    for kind in _KINDS:
        net = bench.net(_DATASET, _NETWORK, kind == "noise", 0)
        for average in ("per_blank", "masked", "raw"):
            check = Ablation(
                images=bench.size.grid_images,
                mask_ratio=(MASK_RATIO,),
                patch_size=(PATCH_SIZE,),
                normalise=_NORMALISE,
                binarise=_CUTS,
                samples=bench.size.grid_samples,
                average=average,
            )
            cells = evidence_of(check, net, images).tables["cells"]
            random.append(cells.assign(training=kind, average=average))
        for label in ("step", "first", "true"):
            for normalise in _NORMALISE:
                for cut in _CUTS:
                    fill = ProgressiveFill(
                        images=bench.size.open_images,
                        patch_size=PATCH_SIZE,
                        step_label=label,
                        normalise=normalise,
                        binarise=cut,
                    )
                    metrics = evidence_of(fill, net, images).estimates
                    progressive.append(
                        {
                            "training": kind,
                            "label": label,
                            "normalise": normalise,
                            "binarise": "none" if cut is None else str(cut),
                            **{name: estimate.value for name, estimate in metrics.items()},
                        }
                    )
        bench.study.say(f"open points, {kind}")
    return pd.concat(random, ignore_index=True), pd.DataFrame(progressive)


def figure_4(bench: Bench, drawn: Path) -> pd.DataFrame:
    """Mask ratio x patch size by the ablation check, in an audit; its pictures go to `drawn`."""
    tables = []
    check = {
        "kind": "ablation",
        "images": bench.size.grid_images,
        "mask_ratio": [0.1, 0.25, 0.5, 0.75],
        "patch_size": [1, 2, 4, 7],
        "binarise": [T_RANDOM],
        "samples": bench.size.grid_samples,
    }
    for kind in _KINDS:
        net = bench.net(_DATASET, _NETWORK, kind == "noise", 0)
        uri = bench.register(f"{_DATASET}-{_NETWORK}-{kind}-0".lower(), net, _DATASET)
        evidence = bench.study.audit(uri, config_of(_DATASET), [check])["ablation"]
        tables.append(evidence.tables["cells"].assign(training=kind))
        for picture in evidence.pictures:
            name = picture.key.rsplit("/", 1)[-1]
            if name not in ("consistency", "class_0"):
                continue
            Image.fromarray(picture.image).save(drawn / f"figure_4_{kind}_{name}.png")
        bench.study.say(f"mask ratio x patch size, {kind}")
    return pd.concat(tables, ignore_index=True)


def orders(bench: Bench) -> pd.DataFrame:
    """First against second order in both tests, in per cent."""
    rows, images = [], image_set(_DATASET, "test")
    for kind in _KINDS:
        net = bench.net(_DATASET, _NETWORK, kind == "noise", 0)
        check = Ablation(
            images=bench.size.grid_images,
            mask_ratio=(MASK_RATIO,),
            patch_size=(PATCH_SIZE,),
            update=("first_order", "second_order"),
            binarise=(T_RANDOM,),
            samples=bench.size.second_order_samples,
        )
        cells = evidence_of(check, net, images).tables["cells"].set_index("update")
        for order in check.update:
            fill = ProgressiveFill(
                images=bench.size.open_images,
                patch_size=PATCH_SIZE,
                binarise=T_PROGRESSIVE,
                update=order,
            )
            metrics = evidence_of(fill, net, images).estimates
            rows.append(
                {
                    "training": kind,
                    "update": order.replace("_", " "),
                    "random prototype": 100 * cells.loc[order, "accuracy"],
                    "its null": 100 * cells.loc[order, "accuracy_null"],
                    "progressive": 100 * metrics["agreement"].value,
                    "true class": 100 * metrics["accuracy"].value,
                }
            )
    bench.study.say("second order")
    return pd.DataFrame(rows)
