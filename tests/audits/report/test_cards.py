"""Sliders begin with the answer, their pictures say their stage, and classes have a table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.evidence.evidence import Evidence, Picture, Seen
from audits.evidence.metric import Metric, Null, Pairing
from audits.report.cards import class_table, sliders
from audits.report.contact_sheet import enlarge


def _colour(label, step):
    return (50 + 50 * step, 10 + label, 200)


def _evidence(captions, small=True, names=("a", "b")):
    pictures = tuple(
        Picture(
            f"fill/{name}",
            step,
            np.full((8, 8, 3), _colour(label, step), np.uint8),
            caption,
            small=small,
        )
        for label, name in enumerate(names)
        for step, caption in enumerate(captions)
    )
    images = pd.DataFrame({"label": [0, 0, 1, 1], "seen": [0, -1, 0, 0]})
    metric = Metric("t", null=Null("n"), about_learning=True, pairing=Pairing("seen", "accuracy"))
    return Evidence(
        check="fill", sentence="s", pictures=pictures, images=images, metrics={"m": metric}
    )


@pytest.mark.parametrize(
    ("captions", "answer"),
    [(["image", "prototype", "composite"], 1), (["masked", "filled 100%"], 1), (["x", "y"], 1)],
)
def test_step_0_is_the_answer_and_the_steps_follow_in_order(captions, answer):
    found = sliders([_evidence(captions)], ["a", "b"])
    assert [picture.key for picture in found] == sorted(picture.key for picture in found)
    for label, name in enumerate("ab"):
        shown = [picture for picture in found if picture.key == f"fill/{name}"]
        assert [picture.step for picture in shown] == list(range(len(captions) + 1))
        for picture, step in zip(shown, [answer, *range(len(captions))], strict=True):
            seen = (picture.image == _colour(label, step)).all(axis=2)
            assert seen.sum() > 108 * 108
            # MLflow's cards show the upper 56 % of a square in a small window.
            assert picture.image.shape[0] == picture.image.shape[1]
            assert np.nonzero(seen)[0].max() < 0.53 * len(picture.image)


def test_the_stage_is_drawn_above_the_picture_also_of_a_long_name():
    head = [
        sliders([_evidence([caption], names=[name])], [name])[0].image[:26]
        for caption, name in (("prototype", "a"), ("composite", "a"), ("prototype", "x" * 10_000))
    ]
    assert all((part < 100).any() for part in head)
    assert not np.array_equal(head[0], head[1])
    assert (head[2][:, :6] == 255).all()
    assert (head[2][:, -6:] == 255).all()


def test_the_reading_is_drawn_above_the_picture_if_the_model_was_asked():
    evidence = _evidence(["prototype"], names=["a"])
    (asked,) = evidence.pictures
    readings = []
    for seen in (None, Seen("drawing", 0, 0, 0), Seen("drawing", 0, 0, 1)):
        one = evidence.model_copy(update={"pictures": (replace(asked, seen=seen),)})
        card = sliders([one], ["a", "b"])[0].image
        readings.append(card[27:54])
        assert (card[54 + 112 :] == 255).all()
    assert (readings[0] == 255).all()
    assert all((part < 100).any() for part in readings[1:])
    assert not np.array_equal(readings[1], readings[2])


def test_large_pictures_stay_as_they_are():
    evidence = _evidence(["x", "y"], small=False)
    found = sliders([evidence], ["a", "b"])
    assert [(p.key, p.step) for p in found] == [(p.key, p.step) for p in evidence.pictures]
    for shown, given in zip(found, evidence.pictures, strict=True):
        assert np.array_equal(shown.image, enlarge(given.image))


def test_the_table_has_a_row_a_class_with_its_pictures_and_counts_the_worst_first():
    found = class_table([_evidence(["image", "prototype"])], ["a", "b"])
    assert list(found) == ["class", "image", "drawing", "drawing recognised"]
    assert found["class"] == ["b", "a"]
    assert found["drawing recognised"] == ["0 of 2", "1 of 2"]
    assert [tuple(cell[60, 60]) for cell in found["drawing"]] == [_colour(1, 1), _colour(0, 1)]
    assert class_table([Evidence(check="c", sentence="s")], ["a"]) == {}


def test_a_class_without_a_picture_of_a_stage_has_an_empty_cell():
    draws = _evidence(["image", "prototype"])
    fills = _evidence(["filled 100%"], names=["a"])
    found = class_table([draws, fills], ["a", "b"])
    assert {cell.shape for cell in found["filled"]} == {found["image"][0].shape}
