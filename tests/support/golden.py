"""Figures of every check on a fixed network. As a script it writes golden.json anew.

    PYTHONPATH=tests/support python tests/support/golden.py

It refuses new figures of a check whose `version` was not raised: old parts in users' stores would
be taken for the new ones.
"""

import json
import sys
from pathlib import Path
from typing import Any

from fixed_net import fixed_classifier

from audits.checks.ablation import Ablation
from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.data.sources import Digits, load
from fillblanks import default_plan

FILE = Path(__file__).with_suffix(".json")

CHECKS: tuple[Check, ...] = (
    Performance(),
    RandomFill(images=30, samples=24),
    ProgressiveFill(images=60),
    Ablation(
        images=20, samples=12, mask_ratio=(0.25, 0.5), patch_size=(2, 4), binarise=(0.1, None)
    ),
)


def figures_of(check: Check) -> dict[str, Any]:
    """The check's version, and its figures as [value, low, high, n] by name."""
    images = load(Digits())
    plan = default_plan(1, 28, 28)
    audit = AuditContext(images, seed=0, plan=plan, model=fixed_classifier())
    settled = check.settled(audit.shape)
    parts = [settled.measure(audit, unit) for unit in settled.units(audit)]
    found = settled.conclude(audit, parts).estimates
    figures = {name: [e.value, e.low, e.high, e.n] for name, e in found.items()}
    return {"version": check.version, "figures": figures}


def main() -> None:
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    found = {check.kind: figures_of(check) for check in CHECKS}
    for kind, now in found.items():
        was = before.get(kind, now)
        if was["version"] == now["version"] and was["figures"] != now["figures"]:
            sys.exit(f"The figures of {kind} have changed: raise its version first.")
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
