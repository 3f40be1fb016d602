"""The time left is told only if enough was measured for it."""

import pytest

from audits.execution.progress import Progress


@pytest.fixture
def told(caplog):
    """A function that finishes units of an audit of so many passes; returns the log's lines."""
    caplog.set_level("INFO", logger="audits.execution.progress")

    def finished(passes, *units):
        caplog.clear()
        progress = Progress("m v1", passes)
        for name, size, seconds in units:
            check, _, numbers = name.partition(" ")
            unit, of = map(int, numbers.split("/"))
            progress.begins(check, [size] * of)
            progress.finished(check, unit, size, seconds)
        return [record.getMessage() for record in caplog.records]

    return finished


def test_a_small_unit_that_takes_long_tells_nothing_of_the_time_left(told):
    first = ("input_doctor 1/1", 64, 30.0)
    lines = told(10_064, first, ("fill 1/10", 1_000, 2.0), ("fill 2/10", 1_000, 4.0))
    assert lines == [
        "m v1: input_doctor 1/1",
        "m v1: fill 1/10, about 18 s left",
        "m v1: fill 2/10, about 24 s left",
    ]


def test_many_units_of_one_size_tell_the_time_left_together(told):
    units = [(f"fill {number}/100", 10, 1.0) for number in range(1, 6)]
    assert [line.partition(", ")[2] for line in told(1_000, *units)] == [
        *[""] * 4,
        "about 95 s left",
    ]


def test_the_rest_of_a_check_is_no_measure_and_ends_the_audit_with_no_time_left(told):
    lines = told(110, ("fill 1/2", 100, 10.0), ("fill 2/2", 10, 9.0))
    assert lines == ["m v1: fill 1/2, about 1 s left", "m v1: fill 2/2, about 0 s left"]


def test_what_was_kept_is_no_measure(told):
    lines = told(110, ("fill 1/2", 100, None), ("fill 2/2", 10, 9.0))
    assert lines == ["m v1: fill 1/2, kept from before", "m v1: fill 2/2, about 0 s left"]


def test_each_record_has_how_far_its_check_is(caplog):
    caplog.set_level("DEBUG", logger="audits.execution.progress")
    progress = Progress("m v1", 220, "/store")
    for check, sizes in {"fill": [100, 100], "shifts": [20]}.items():
        progress.begins(check, sizes)
        progress.begins(check, [])  # is told once
        for unit, size in enumerate(sizes, 1):
            progress.finished(check, unit, size, 10.0)
        progress.concluded(check)
    progress.concluded("of another process")
    steps = [record.step for record in caplog.records]
    assert {(step.model, step.store) for step in steps} == {("m v1", "/store")}
    assert [
        (s.check, s.finished, s.units, s.share, s.check_left, s.left, s.concluded) for s in steps
    ] == [
        ("fill", 0, 2, 0.0, None, None, False),
        ("fill", 1, 2, 0.5, 10.0, 12.0, False),
        ("fill", 2, 2, 1.0, 0.0, 2.0, False),
        ("fill", 2, 2, 1.0, 0.0, 2.0, True),
        ("shifts", 0, 1, 0.0, 2.0, 2.0, False),
        ("shifts", 1, 1, 1.0, 0.0, 0.0, False),
        ("shifts", 1, 1, 1.0, 0.0, 0.0, True),
    ]
    levels = ["DEBUG", "INFO", "INFO", "DEBUG", "DEBUG", "INFO", "DEBUG"]
    assert [record.levelname for record in caplog.records] == levels
