"""The bounds of `blank_proof`: of each case, and the radius of each image."""

from weakref import WeakKeyDictionary

import numpy as np
import torch

from audits.checks._shared.blank_figures import states_of
from audits.checks._shared.blank_pictures import State
from audits.checks._shared.blanks import Attacked
from audits.checks.context import AuditContext
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from fillblanks import Classifier
from fillblanks.bounds.lipschitz import lipschitz, radius
from fillblanks.bounds.prover import Prover
from fillblanks.bounds.reading import NotBounded

MOST_ACTIVATIONS = 12_000
"""Values that go through a ReLU in the largest network that is bounded.

The bound of a ResNet of 31,000 took 35 s of a CPU and was far below 0, see docs/blanks.md.
"""

_Kept = tuple[tuple[int, int, int], Prover, float | None]
_KEPT: WeakKeyDictionary[Classifier, _Kept] = WeakKeyDictionary()


def bounded(audit: AuditContext, attacked: Attacked, optimised: int) -> Part:
    """Lower bounds of margins, float64 (n, b): `ibp`, `crown` and `best`, and `radius` (n,).

    Broken cases have no bounds, NaN; that theirs are not above 0 is looked at. Without a Lipschitz
    constant radii are NaN. Raises ValueError if a fill was found whose margin is below a bound, and
    NotApplicable as `prover_of`.
    """
    prover, constant = prover_of(audit)
    part, cases = attacked.part, attacked.cases
    shape = part["blank"].shape
    found = {name: np.full(shape, np.nan) for name in ("ibp", "crown", "best")}
    radii = np.full(shape[0], np.nan)
    broken = states_of(part) == State.BROKEN
    with audit.classifier.steady():
        for (row, number), is_broken in np.ndenumerate(broken):
            case, answer = row * shape[1] + number, int(part["read"][row])
            if answer < 0:
                continue
            image = cases.images[case]
            if constant is not None and number == 0:
                radii[row] = radius(prover, constant, image, answer)
            margin = prover.margin(
                image, cases.blanks[case], answer, steps=0 if is_broken else optimised
            )
            # The worst fill of a broken case may have no margin, but another answer.
            if margin.best > (0 if is_broken else part["worst_margin"][row, number]):
                raise ValueError(
                    "Expected every fill within the bounds, got one with a smaller margin: the "
                    "network does not compute as its graph says, as with TF32 or a fast "
                    "convolution. Audit it on a CPU."
                )
            if not is_broken:
                for name, value in zip(found, margin, strict=True):
                    found[name][row, number] = value
    return {**found, "radius": radii}


def prover_of(audit: AuditContext) -> tuple[Prover, float | None]:
    """The prover of the audited network, and its Lipschitz constant, kept if it stays.

    Raises NotApplicable if the network cannot be bounded.
    """
    classifier = audit.classifier
    kept = _KEPT.get(classifier)
    if kept is not None and kept[0] == audit.shape:
        return kept[1], kept[2]
    first = np.resize(np.arange(min(2, len(audit.images))), 2)
    try:
        prover = Prover(classifier, classifier.to_input(audit.images.tensor(first)))
    except NotBounded as error:
        raise NotApplicable(
            f"The network cannot be bounded: {error} blank_attack takes any network."
        ) from error
    if prover.program.activations > MOST_ACTIVATIONS:
        raise NotApplicable(
            f"Expected at most {MOST_ACTIVATIONS:,} values that go through a ReLU, got "
            f"{prover.program.activations:,}. Take blank_attack, which proves nothing."
        )
    with torch.no_grad():
        constant = lipschitz(prover.program)
    if classifier.constant:
        _KEPT[classifier] = audit.shape, prover, constant
    return prover, constant
