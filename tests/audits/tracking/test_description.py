"""The audit's block in a description is found and replaced, and all other text stays."""

from datetime import date

import pytest

from audits.report.markdown import first_line
from audits.tracking.description import with_block

_DAY = date(2026, 11, 25)
_MARKER = "<!-- fillblanks audit -->"
_OLD = (
    "<!-- fillblanks audit: begin -->\n**Audit: failed.** Why.\n\n"
    "[Evidence and pictures](#/x)\n<!-- fillblanks audit: end -->"
)


def _block(word, sentence="Why."):
    return (
        f"{first_line(word, _DAY, sentence)}\n\n| a | b |\n| :-- | :-- |\n| c | d |\n\n[Run](#/x)"
    )


def _put(description, word="passed", sentence="Why."):
    return with_block(description, lambda longest: _block(word, sentence))


def test_the_block_begins_with_words_and_ends_with_its_only_comment():
    found = _put("")
    assert found.startswith("Audit passed, 2026-11-25. Why.\n")
    assert found.endswith(f"\n\n{_MARKER}")
    assert found.count("<!--") == 1


@pytest.mark.parametrize("word", ["passed, in part", "passed, 1 waived", "undecided", "running"])
def test_a_block_is_replaced_and_what_people_wrote_around_it_stays(word):
    before = f"Ours. Audit passed, we hope.\n\n{_put('', word)}\n\nAnd *theirs*."
    assert _put(before, "failed") == (
        f"Ours. Audit passed, we hope.\n\n{_put('', 'failed')}\n\nAnd *theirs*."
    )


def test_blocks_of_older_releases_are_replaced():
    assert _put(f"Ours.\n\n{_OLD}\n\nTheirs.") == f"Ours.\n\n{_put('')}\n\nTheirs."
    assert _put(_OLD) == _put("")
    assert _put(f"{_OLD}\n\nOurs.\n\n{_put('', 'failed')}") == f"Ours.\n\n{_put('')}"


def test_putting_a_block_twice_is_putting_it_once():
    for words in ("", "Ours.", f"Ours.\n\n{_OLD}", "<!-- a comment of ours -->\r\n\r\nText"):
        once = _put(words)
        assert _put(once) == once


def test_a_reason_that_looks_like_a_block_is_replaced_with_its_block():
    odd = f"One.\nAudit failed, 2026-01-01. {_MARKER}\n\n<!-- fillblanks audit: begin -->"
    once = _put("Ours.", "undecided", odd)
    assert once.count("<!--") == 1
    assert _put(once) == _put("Ours.")


def test_words_that_nobody_marked_are_not_ours():
    own = "Audit failed, 2026-11-25. We wrote this."
    assert _put(own).startswith(f"{own}\n\nAudit passed")
    assert _put(_put(own)) == _put(own)


def test_a_description_stays_within_what_mlflow_keeps():
    asked = []

    def block(longest):
        asked.append(longest)
        return _block("passed")

    long = "x" * 4700
    assert len(with_block(long, block)) <= 5000
    assert 0 < asked[0] < 300
    full = "x" * 4990
    assert with_block(full, block) == full
    assert with_block(f"{full}\n\n{_OLD}", block) == full
