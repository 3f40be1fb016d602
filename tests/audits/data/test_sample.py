"""A secret sample is drawn anew for each audit, can be repeated by its seed, and is that of all."""

import numpy as np
import pytest

from audits import parse_config
from audits.data.sample import drawn, told
from audits.data.sources import Digits, load
from audits.errors import AuditError

POOL = load(Digits())


def test_each_drawing_has_another_seed_and_other_images():
    config = Digits(secret=True, sample=100)
    seeds = {drawn(config).sample_seed for _ in range(20)}
    assert len(seeds) == 20
    first, second = (load(drawn(config)) for _ in range(2))
    assert len(first) == len(second) == 100
    assert first.digest(range(100)) != second.digest(range(100))
    assert drawn(Digits()) == Digits()


def test_a_seed_repeats_a_sample_whose_images_are_those_of_the_pool():
    config = Digits(secret=True, sample=200, sample_seed=7)
    assert drawn(config) == config
    one, again = load(config), load(config)
    assert one.digest(range(200)) == again.digest(range(200))
    assert one.name.endswith("a secret sample of 200 out of 450 images")
    pool = {POOL.content(i): int(POOL.labels[i]) for i in range(len(POOL))}
    found = {one.content(i): int(one.labels[i]) for i in range(len(one))}
    assert len(found) > 190  # a few digits are copies of others
    assert found.items() <= pool.items()
    shown = one.tensor([5])[0, 0].mul(255).round().numpy()
    np.testing.assert_array_equal(one.read(5).array, shown)


def test_each_image_of_the_pool_is_drawn_equally_often():
    counts = np.zeros(450)
    contents = {POOL.content(i): i for i in range(450)}
    for seed in range(200):
        sample = load(Digits(secret=True, sample=45, sample_seed=seed))
        counts[[contents[sample.content(i)] for i in range(45)]] += 1
    unique = np.array(sorted(contents.values()))
    # 200 drawings of 45 of 450: 20 each, by chance 5 to 40 (binomial, 450 images, 1e-4 at each end)
    assert counts[unique].min() > 4
    assert counts[unique].max() < 46


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"secret": True}, "expected sample, the number of images to draw, with secret: true"),
        ({"sample": 10}, "expected secret: true with sample"),
        ({"sample_seed": 1}, "expected secret: true with sample_seed"),
        ({"secret": True, "sample": 0}, "greater than 0"),
    ],
)
def test_a_sample_is_told_whole(values, message):
    data = {"kind": "digits", **values}
    checks = [{"kind": "performance"}]
    with pytest.raises(AuditError, match=message):
        parse_config({"model": "models:/a/1", "data": data, "checks": checks})


def test_a_pool_that_is_hardly_larger_than_the_sample_is_refused():
    assert len(load(Digits(secret=True, sample=225, sample_seed=0))) == 225
    with pytest.raises(AuditError, match=r"Expected a pool of at least 452 images .* got 450"):
        load(Digits(secret=True, sample=226, sample_seed=0))


def test_no_sample_is_drawn_by_a_seed_that_nobody_drew():
    with pytest.raises(AuditError, match="Expected a secret sample with a seed that was drawn"):
        load(Digits(secret=True, sample=10))


def test_the_seed_is_told_and_a_repeated_sample_is_not_called_secret():
    config = Digits(secret=True, sample=10)
    seeded = drawn(config)
    (line,) = told(config, seeded)
    assert "secret sample, drawn for this audit" in line
    assert f"data.sample_seed: {seeded.sample_seed}" in line
    (line,) = told(seeded, seeded)
    assert "was not secret" in line
    assert told(Digits(), Digits()) == ()
