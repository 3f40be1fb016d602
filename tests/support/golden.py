"""Figures of every check on a fixed network. Run as a script, this file writes golden.json anew.

    PYTHONPATH=tests/support python tests/support/golden.py

The script refuses to change the figures of a check whose `version` was not raised, since old parts
in users' stores would be taken for the new figures.
"""

import json
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import measured
import numpy as np
from fixed_net import fixed_classifier
from PIL import Image

from audits.checks.ablation import Ablation
from audits.checks.agreement import Agreement
from audits.checks.base import Check
from audits.checks.blank_attack import BlankAttack
from audits.checks.blank_proof import BlankProof
from audits.checks.calibration import Calibration
from audits.checks.class_pictures import ClassPictures
from audits.checks.completion import Completion
from audits.checks.concepts import Concepts
from audits.checks.context import AuditContext
from audits.checks.duplicates import Duplicates
from audits.checks.evidence import EvidenceMaps
from audits.checks.human_maps import HumanMapsCheck
from audits.checks.input_doctor import InputDoctor
from audits.checks.performance import Performance
from audits.checks.planted_defect import PlantedDefect
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.robustness import Robustness
from audits.checks.shifts import Shifts
from audits.checks.sufficient_patches import SufficientPatches
from audits.checks.swap import Swap
from audits.data.imageset import ImageSet
from audits.data.sources import Digits, Folder, load
from audits.evidence.evidence import Evidence
from audits.evidence.pairing import with_drops
from fillblanks import Classifier, default_plan

FILE = Path(__file__).with_suffix(".json")

CHECKS: tuple[Check, ...] = (
    InputDoctor(),
    Performance(),
    Calibration(),
    Shifts(),
    Robustness(images=60),
    Duplicates(),
    Duplicates(label="duplicates_leaked", images=60, training=Digits()),
    RandomFill(images=30, samples=24),
    RandomFill(
        label="random_fill_otherwise",
        images=20,
        samples=100,
        tolerance=0.3,
        average="raw",
        normalise="minmax",
        binarise="otsu",
        blank_value="mean",
        patch_size=7,
    ),
    RandomFill(
        label="random_fill_second_order", images=6, samples=4, update="second_order", patch_size=7
    ),
    ProgressiveFill(images=60),
    ProgressiveFill(label="progressive_fill_true", images=30, step_label="true", groups=3),
    Ablation(
        images=20, samples=12, mask_ratio=(0.25, 0.5), patch_size=(2, 4), binarise=(0.1, None)
    ),
    Completion(images=16, steps=4),
    ClassPictures(classes=4, seeds=2, steps=4),
    ClassPictures(
        label="class_pictures_maco", classes=4, seeds=2, steps=4, prior="maco", crops=True
    ),
    Swap(donors=10, confirm=15),
    Swap(label="swap_colour", what="colour", donors=10, confirm=20),
    EvidenceMaps(images=20, draws=64),
    EvidenceMaps(label="evidence_occlusion", images=10, method="occlusion", baseline="blurred"),
    EvidenceMaps(label="evidence_pami", images=10, method="pami"),
    EvidenceMaps(label="evidence_sobol", images=6, method="sobol", draws=4, patch_size=7),
    Agreement(images=12, draws=64),
    Agreement(label="agreement_occlusion", images=12, method="occlusion", patch_size=7),
    HumanMapsCheck(images=20, draws=64, maps="maps"),
    PlantedDefect(classes=3, patch_size=10, confirm=20, faint=0.05),
    Concepts(concepts=6, donors=12, others=10, confirm=30),
    SufficientPatches(images=20, steps=40),
    SufficientPatches(
        label="sufficient_patches_occlusion", images=20, order="occlusion", patch_size=7
    ),
    SufficientPatches(
        label="sufficient_patches_learned",
        images=20,
        order="learned",
        patch_size=7,
        training_images=100,
        steps=30,
    ),
    BlankProof(images=4, blanks=3, steps=6, restarts=2),
    BlankAttack(images=6, blanks=4, steps=6, restarts=2),
)


@cache
def _images() -> ImageSet:
    return load(Digits())


@cache
def _files() -> tempfile.TemporaryDirectory[str]:
    """Digits as files in `images`, and in `maps` how bright they are, as if people looked there."""
    folder, digits = tempfile.TemporaryDirectory(prefix="fillblanks-golden-"), _images()
    for i in range(40):
        name = f"{digits.classes[digits.labels[i]]}/{i}.png"
        pixels = (digits.tensor([i])[0, 0].numpy() * 255).round()
        for kind, array in (("images", pixels), ("maps", np.sqrt(pixels) * 15)):
            file = Path(folder.name) / kind / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(file)
    return folder


def evidence_of(check: Check, model: Classifier, reference: Classifier | None = None) -> Evidence:
    """The check's evidence on scikit-learn's test digits, measured in this process."""
    return measured.evidence_of(*context_of(check, model, reference))


def context_of(
    check: Check, model: Classifier, reference: Classifier | None
) -> tuple[Check, AuditContext]:
    """The check as it is measured on scikit-learn's test digits, and the audit's context."""
    plan = default_plan(1, 28, 28)
    images = _images()
    if isinstance(check, HumanMapsCheck):
        images = load(Folder(path=f"{_files().name}/images"))
        check = check.model_copy(update={"maps": f"{_files().name}/maps"})
    audit = AuditContext(images, seed=0, plan=plan, model=model, reference=reference)
    if check.asks_versions and reference is not None:
        audit = replace(audit, versions=(reference,), version_names=("models:/worse/1",))
    return check.settled(audit.shape), audit


def figures_of(check: Check) -> dict[str, Any]:
    """The check's version, and its figures as [value, low, high, n] by name.

    A worse network serves as reference and as baseline, so that figures of both are among them.
    """
    worse = fixed_classifier(training_images=60)
    found = evidence_of(check, fixed_classifier(), reference=worse)
    if any(metric.pairing for metric in found.metrics.values()):
        classes = [str(number) for number in range(10)]
        found = with_drops(found, evidence_of(check, worse), classes, classes)
    figures = {name: [e.value, e.low, e.high, e.n] for name, e in found.estimates.items()}
    return {"version": check.version, "figures": figures}


def main() -> None:
    """Writes the file, unless figures have changed under the same version."""
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    found = {check.name: figures_of(check) for check in CHECKS}
    for name, now in found.items():
        was = before.get(name, now)
        if was["version"] == now["version"] and was["figures"] != now["figures"]:
            sys.exit(f"The figures of {name} have changed: raise the version of the check first.")
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
