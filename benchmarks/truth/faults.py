"""Faults that are no marks: what performance, calibration and input_doctor say of a network.

Each network is compared with a champion: one of the same kind without a fault, on the same images.
"""

import time
from dataclasses import replace

from audits.checks.base import Check
from audits.checks.calibration import Calibration
from audits.checks.input_doctor import InputDoctor
from audits.checks.performance import Performance
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.evidence.pairing import with_drops
from fillblanks import Classifier
from truth.measure import Subject, concluded, context, measured
from truth.row import Row
from truth.zoo import Specimen

PERFORMANCE, CALIBRATION, DOCTOR = "performance", "calibration", "input_doctor"
_IMAGES = 3000  # of the audit, at most
MOST_BRIER_DROP = 0.02  # as the default policy has for the drop of accuracy


def fault_rows(subject: Subject, champion: Classifier) -> list[Row]:
    """The three checks on a network beside its champion, on as many images as there are."""
    specimen = replace(subject.specimen, audited_images=_IMAGES)
    fed = specimen.as_fed(subject.classifier)
    return [
        _performance(specimen, fed, champion),
        _calibration(specimen, fed, champion),
        _doctor(specimen, fed),
    ]


def _compared(
    check: Check, specimen: Specimen, fed: Classifier, champion: Classifier
) -> tuple[Evidence, float]:
    """Evidence with the drops against the champion, and the seconds of the network's own audit."""
    ours, seconds = _evidence(check, specimen, fed)
    theirs, _ = _evidence(check, specimen, champion)
    names = [str(i) for i in range(10)]
    return with_drops(ours, theirs, names, names), seconds


def _evidence(check: Check, specimen: Specimen, one: Classifier) -> tuple[Evidence, float]:
    images, labels = specimen.audited(marked=False)
    began = time.perf_counter()
    audit = context(specimen, one, images, labels)
    _, evidence = concluded(check, audit, measured(check, audit))
    return evidence, time.perf_counter() - began


def _performance(specimen: Specimen, fed: Classifier, champion: Classifier) -> Row:
    """Accused if a condition of the default policy on performance has failed for sure."""
    evidence, seconds = _compared(Performance(), specimen, fed, champion)
    metrics = evidence.metrics
    drop = metrics["accuracy"].drop
    assert drop is not None  # performance has a pairing
    failed = [name for name, metric in metrics.items() if _has_failed(metric)]
    passed = not failed and all(_has_passed(metric) for metric in metrics.values())
    detail = f"failed: {', '.join(failed)}" if failed else "passed" if passed else "undecided"
    return Row(PERFORMANCE, drop.value, bool(failed), None, None, seconds, None, detail)


def _has_failed(metric: Metric) -> bool:
    bounds, drop = metric.bounds, metric.drop
    if bounds is None:
        return False
    too_low = bounds.min is not None and metric.estimate.high < bounds.min
    fell = bounds.max_drop is not None and drop is not None and drop.low > bounds.max_drop
    return too_low or fell


def _has_passed(metric: Metric) -> bool:
    bounds, drop = metric.bounds, metric.drop
    if bounds is None:
        return True
    high_enough = bounds.min is None or metric.estimate.low >= bounds.min
    kept = bounds.max_drop is None or (drop is not None and drop.high <= bounds.max_drop)
    return high_enough and kept


def _calibration(specimen: Specimen, fed: Classifier, champion: Classifier) -> Row:
    """Accused if the Brier score is worse than the champion's by more than a bound, for sure."""
    evidence, seconds = _compared(Calibration(), specimen, fed, champion)
    drop = evidence.metrics["brier"].drop
    assert drop is not None  # the Brier score has a pairing
    ece = evidence.metrics["ece"].estimate.value
    sure = evidence.metrics["overconfidence"].estimate
    side = "too sure" if sure.low > 0 else "not sure enough" if sure.high < 0 else "neither"
    detail = f"ece {ece:.3f}, {side}"
    accused = bool(drop.low > MOST_BRIER_DROP)
    return Row(CALIBRATION, drop.value, accused, None, None, seconds, None, detail)


def _doctor(specimen: Specimen, fed: Classifier) -> Row:
    """Accused if the check asks a question, with which no verdict but undecided is reached."""
    evidence, seconds = _evidence(InputDoctor(), specimen, fed)
    gain = evidence.metrics["best_neighbour_gain"].estimate
    asked = bool(evidence.questions)
    detail = evidence.sentence if asked else ""
    return Row(DOCTOR, gain.value, asked, None, None, seconds, None, detail)
