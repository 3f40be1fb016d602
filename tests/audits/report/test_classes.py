"""Of many classes some have pictures, and the page says how the others compare with them."""

import reports

from audits.report.classes import columns


def test_classes_without_pictures_that_are_worse_are_counted():
    classes = reports.LONG
    evidence = reports.drawn(classes)
    kept = tuple(p for p in evidence.pictures if p.seen.label > 1)
    right = {
        label: int((rows["prototype"] == label).sum())
        for label, rows in evidence.images.groupby("label")
    }
    worst = min(right[label] for label in range(2, 10))
    worse = sum(count < worst for label, count in right.items() if not 2 <= label < 10)
    assert worse >= 1  # of class 1 no draw is accepted
    shown = evidence.model_copy(update={"pictures": kept, "examples": ()})
    found = columns([shown], classes)
    assert (found.told, found.worse) == ("8 of 40 classes", worse)
    assert columns([evidence], classes).worse == 0
