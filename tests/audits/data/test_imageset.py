"""An ImageSet adapts images and labels to a model, lists the changes, and has a digest."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from audits import AuditError
from audits.data.fit import Fit
from audits.models.classes import matched

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (4, 6, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(20, 30), (5, 4), (3, 21), (8, 9)])
def test_resizing_is_pillows_bilinear(size, image_set):
    images = image_set(COLOUR, [0, 1, 1, 1], fit=Fit(3, *size))
    for channel in range(3):
        raw = Image.fromarray(COLOUR[2, :, :, channel].astype(np.float32) / 255)
        wanted = np.asarray(raw.resize(size[::-1], Image.Resampling.BILINEAR))
        assert images.tensor([2])[0, channel].numpy() == pytest.approx(wanted, abs=1e-5)


def test_colour_becomes_pillows_grey(image_set):
    found = image_set(COLOUR, [0, 1, 1, 1], fit=Fit(1, None, None)).tensor([0])
    wanted = np.asarray(Image.fromarray(COLOUR[0]).convert("L")) / 255
    assert found.shape == (1, 1, 8, 9)
    assert found[0, 0].numpy() == pytest.approx(wanted, abs=1.01 / 255)


def test_grey_becomes_three_equal_channels(image_set):
    found = image_set(GREY, [0, 1, 1, 1], fit=Fit(3, None, None)).tensor([1])
    assert torch.equal(found, torch.from_numpy(GREY[1] / np.float32(255)).expand(1, 3, 6, 7))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((None, None, None), []),
        ((1, 6, 7), []),
        ((3, 6, 7), ["Images are turned from 1 to 3 channel(s)."]),
        ((1, 28, 28), ["Images are resized from 6x7 (the first) to 28x28."]),
        (
            (3, 28, None),
            [
                "Images are turned from 1 to 3 channel(s).",
                "Images are resized from 6x7 (the first) to 28x7.",
            ],
        ),
    ],
)
def test_what_is_done_to_the_images_is_said(shape, said, image_set):
    images = image_set(GREY, [0, 1, 1, 1], fit=Fit(*shape))
    assert images.adaptations() == said
    wanted = [want or got for want, got in zip(shape, (1, 6, 7), strict=True)]
    assert list(images.tensor([0]).shape[1:]) == wanted


def test_extremes_stay_in_0_to_1_when_resized(image_set):
    hard = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), (1, 4, 4))
    found = image_set(hard, [0], fit=Fit(1, 13, 5)).tensor([0])
    assert 0 <= found.min() <= found.max() <= 1


def test_images_of_many_sizes_need_a_size(image_set):
    mixed = [GREY[0], GREY[1][:5], GREY[2]]
    images = image_set(mixed, [0, 1, 1])
    with pytest.raises(AuditError, match=r"Expected images of one size in arrays, got \(1, 5, 7\)"):
        images.tensor([0, 1])
    assert images.tensor([0, 2]).shape == (2, 1, 6, 7)
    assert images.for_model(None, Fit(1, 6, 6)).tensor([0, 1, 2]).shape == (3, 1, 6, 6)


def test_labels_take_the_models_order_of_classes(image_set):
    images = image_set(GREY, [0, 1, 2, 1], classes=["cat", "dog", "eel"])
    classes = matched(images.classes, ("bee", "eel", "dog", "cat"))
    fitted = images.for_model(classes, Fit(1, 6, 7))
    assert fitted.classes == ("bee", "eel", "dog", "cat")
    assert [fitted.classes[label] for label in fitted.labels] == ["cat", "dog", "eel", "dog"]
    assert images.labels.tolist() == [0, 1, 2, 1]


def test_a_model_without_names_keeps_the_datas(image_set):
    images = image_set(GREY, [0, 1, 2, 1])
    fitted = images.for_model(None, Fit(3, None, None))
    assert fitted.classes == images.classes
    assert fitted.fit == Fit(3, None, None)


def test_classes_without_an_image_are_named(image_set):
    images = image_set(GREY, [0, 1, 1, 1], classes=["cat", "dog"])
    fitted = images.for_model(
        matched(images.classes, [f"n{i}" for i in range(9)] + ["dog", "cat"]), Fit(1, 6, 7)
    )
    assert fitted.weaknesses() == [
        "9 of 11 classes have no image and are in no average: n0, n1, n2, n3, n4, ..."
    ]
    assert images.weaknesses() == []


def test_a_class_that_stands_twice_is_refused(image_set):
    with pytest.raises(AuditError, match="different class names in arrays, got 'cat' twice"):
        image_set(GREY, [0, 1, 1, 1], classes=["cat", "cat"])


def test_labels_must_be_classes(image_set):
    with pytest.raises(AuditError, match=r"Expected labels from 0 to 1 .* got 2"):
        image_set(GREY, [0, 1, 2, 1], classes=["cat", "dog"])
    with pytest.raises(AuditError, match=r"Expected labels from 0 to 1 .* got -1"):
        image_set(GREY, [0, -1, 0, 1], classes=["cat", "dog"])


@pytest.mark.parametrize("seed", [0, 1, (1 << 63) - 1])
def test_the_sampled_order_takes_classes_in_turn(image_set, seed):
    labels = [2, 2, 2, 0, 0, 2, 3, 0]  # class 1 has no image
    order = image_set(np.zeros((8, 2, 2)), labels, classes="abcd").sampled_order(seed)
    assert np.array(labels)[order].tolist() == [0, 2, 3, 0, 2, 0, 2, 2]
    assert sorted(order) == list(range(8))


def test_the_seed_draws_the_sample_and_not_the_order_of_the_files(image_set):
    labels = np.repeat([0, 1], 1000)
    images = image_set(np.zeros((2000, 1, 1)), labels)
    samples = [images.sampled_order(seed)[:200] for seed in range(20)]
    assert np.array_equal(images.sampled_order(0)[:200], samples[0])
    assert len({tuple(sample) for sample in samples}) == 20
    places = np.concatenate([sample % 1000 for sample in samples])
    counts = np.histogram(places, bins=10, range=(0, 1000))[0]
    # A chi-squared test finds the 4,000 places spread evenly over ten sections of the files.
    assert stats.chisquare(counts).pvalue > 0.001
    assert all((labels[sample] == 0).sum() == 100 for sample in samples)


def _digest(image_set, images=GREY, labels=(0, 1, 2, 1), classes="abc", shape=(1, 6, 7), only=None):
    made = image_set(images, labels, classes, fit=Fit(*shape))
    return made.digest(range(len(made)) if only is None else only)


def _with_pixel(value):
    changed = GREY.copy()
    changed[3, 5, 6] = value
    return changed


@pytest.mark.parametrize(
    "change",
    [
        {"images": _with_pixel(GREY[3, 5, 6] ^ 1)},
        {"images": GREY[[1, 0, 2, 3]]},
        {"labels": (0, 1, 2, 2)},
        {"classes": "acb"},
        {"classes": "abcd"},
        {"shape": (3, 6, 7)},
        {"shape": (None, None, None)},
        {"only": [0, 1, 2]},
        {"only": [0, 1, 3, 2]},
    ],
)
def test_a_digest_changes_with_what_the_figures_depend_on(change, image_set):
    assert _digest(image_set, **change) != _digest(image_set)


def test_a_digest_does_not_change_with_anything_else(image_set, tmp_path):
    from audits.data.sources import Folder, Npz, load

    assert _digest(image_set, images=GREY.copy()) == _digest(image_set)
    read = image_set(GREY, [0, 1, 2, 1])
    before = read.digest([0, 3])
    _ = read.tensor([0]), read.sampled_order(0)
    assert read.digest(np.array([0, 3])) == before

    digests = set()
    for place, saved in (("one", np.savez), ("two", np.savez_compressed)):
        (tmp_path / place / "cat").mkdir(parents=True)
        saved(tmp_path / place / f"{place}.npz", x=GREY, y=np.array([0, 1, 2, 1]))
        digests.add(load(Npz(path=str(tmp_path / place / f"{place}.npz"))).digest(range(4)))
        Image.fromarray(GREY[0]).save(tmp_path / place / "cat" / f"{place}.png")
    assert len(digests) == 1
    pictures = [load(Folder(path=str(tmp_path / place))).digest([0]) for place in ("one", "two")]
    assert pictures[0] == pictures[1]


def test_the_same_bytes_of_another_shape_are_another_data_set(tmp_path):
    from audits.data.sources import Npz, load

    digests = set()
    for number, shape in enumerate([(1, 4, 6), (1, 6, 4), (1, 2, 12)]):
        file = tmp_path / f"{number}.npz"
        np.savez(file, x=np.zeros(shape, np.uint8), y=np.array([0]))
        digests.add(load(Npz(path=str(file))).digest([0]))
    assert len(digests) == 3
