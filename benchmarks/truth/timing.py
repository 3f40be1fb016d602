"""CPU seconds of the checks: some networks of the table are measured once more, on one thread."""

from collections.abc import Iterable
from pathlib import Path

import torch

from audits.errors import NotApplicable
from truth import measure
from truth.measure import Subject
from truth.zoo import Specimen


def timed(specimens: Iterable[Specimen], folder: Path) -> dict[tuple[str, str], float]:
    """Seconds of the process, by name of the network and of the check."""
    torch.set_num_threads(1)
    found = {}
    for one in specimens:
        subject = Subject(one, one.classifier(folder))
        for stage in measure.stages(subject).values():
            try:
                rows = stage()
            except NotApplicable:  # nothing was done, so there is nothing to time
                continue
            found |= {(one.name, row.check): row.seconds for row in rows}
            print(*(f"{one.name}, {row.check}: {row.seconds:.1f} s" for row in rows), sep="\n")
    return found
