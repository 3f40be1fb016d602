"""The strip shows the worst classes first, in a picture that a description shows whole."""

import numpy as np
import pandas as pd
import pytest

from audits.evidence.evidence import Evidence, Picture
from audits.evidence.metric import Metric, Null, Pairing
from audits.report.strip import HEIGHT, WIDTH, Recognised, is_pictured, recognised, strip


def _colour(label, stage):
    return (40 + stage * 60, 3 + 4 * label, 250 - 2 * label)


def _pictures(check, classes, stages):
    return tuple(
        Picture(
            f"{check}/{name}",
            step,
            np.full((8, 8, 3), _colour(label, stage), np.uint8),
            caption,
            title=name,
        )
        for label, name in enumerate(classes)
        for step, (stage, caption) in enumerate(stages)
    )


def _evidence(check, classes, stages, right):
    """Ten images a class, of which `right` of a label are recognised in the column `seen`."""
    metric = Metric("t", null=Null("n"), about_learning=True, pairing=Pairing("seen", "accuracy"))
    labels = np.repeat(np.arange(len(classes)), 10)
    seen = [label if n % 10 < right(label) else -1 for n, label in enumerate(labels)]
    images = pd.DataFrame({"label": labels, "seen": seen})
    pictures = _pictures(check, classes, stages)
    return Evidence(
        check=check, sentence="s", metrics={"a": metric}, images=images, pictures=pictures
    )


def _both(classes, right):
    draws = _evidence("draws", classes, [(0, "image"), (1, "masked"), (2, "prototype")], right)
    fills = _evidence("fills", classes, [(1, "masked"), (3, "filled 100%")], right)
    return [draws, fills]


def _left(picture, colour):
    rows, columns = np.nonzero((np.asarray(picture) == colour).all(axis=2))
    assert len(rows), f"no pixel of {colour}"
    return int(columns.min()), int(rows.min())


def test_the_worst_class_is_first_with_image_drawing_and_filled_image_below_each_other():
    classes = ["a", "b", "c"]
    found = strip(_both(classes, lambda label: [7, 0, 4][label]), classes)
    assert found.height == HEIGHT <= 220
    assert found.width <= WIDTH <= 800
    places = {(n, stage): _left(found, _colour(n, stage)) for n in range(3) for stage in (0, 2, 3)}
    assert sorted(range(3), key=lambda n: places[n, 0]) == [1, 2, 0]
    for n in range(3):
        tops = [places[n, stage][1] for stage in (0, 2, 3)]
        assert tops == sorted(tops)
        assert len({places[n, stage][0] for stage in (0, 2, 3)}) == 1
    assert not (np.asarray(found) == _colour(0, 1)).all(axis=2).any()


def test_of_many_classes_only_the_worst_are_shown():
    classes = [f"class number {n} 数" for n in range(40)]
    slugs = [f"class_number_{n}" for n in range(40)]
    evidence = _both(slugs, lambda label: label // 4)
    found = strip(evidence, classes)
    assert found.size <= (WIDTH, HEIGHT)
    _left(found, _colour(0, 0))
    assert not (np.asarray(found) == _colour(39, 0)).all(axis=2).any()


def test_images_are_counted_by_class():
    evidence, _ = _both(["a", "b"], lambda label: [7, 0][label])
    assert recognised(evidence, ["a", "b"]) == {"a": Recognised(7, 10), "b": Recognised(0, 10)}
    assert recognised(evidence, ["a", "b", "c"]).keys() == {"a", "b"}
    assert recognised(Evidence(check="c", sentence="s"), ["a"]) == {}


def test_a_check_of_another_package_shows_its_first_and_last_pictures():
    stages = [(0, "before"), (1, "between"), (2, "after")]
    own = Evidence(check="own", sentence="s", pictures=_pictures("own", ["a"], stages))
    found = strip([own], [])
    _left(found, _colour(0, 0))
    _left(found, _colour(0, 2))
    assert not (np.asarray(found) == _colour(0, 1)).all(axis=2).any()


@pytest.mark.parametrize("small", [False, None])
def test_without_small_pictures_there_is_no_strip(small):
    large = Picture("c/map", 0, np.zeros((400, 600, 3), np.uint8), "map", small=False)
    pictures = () if small is None else (large,)
    one = Evidence(check="c", sentence="s", pictures=pictures)
    assert strip([one], []) is None
    assert not is_pictured([one])
