"""Errors print a line, whatever they echo, and stay what they are in another process."""

import copy
import pickle

import pytest

from audits.errors import AuditError, ModelRefused, few, one_line, quoted, shortened


def test_a_message_is_one_line_and_keeps_its_beginning_and_its_cure():
    text = str(AuditError(f"Expected a name,\n got {'x' * 10_000!r}.\tSet preprocessing.classes."))
    assert text.startswith("Expected a name, got 'xxx")
    assert text.endswith("xxx'. Set preprocessing.classes.")
    assert " ... " in text
    assert len(text) == 400


def test_a_short_message_stays_as_it_is():
    message = "Expected images in [0, 1], got a maximum of 255.0. Divide by 255."
    assert str(AuditError(message)) == message
    assert str(AuditError("x" * 400)) == "x" * 400
    assert str(AuditError()) == ""


def test_several_mistakes_have_a_line_each_and_are_ten_at_most():
    assert str(AuditError("a\nb", "c")).splitlines() == ["a b", "c"]
    lines = str(AuditError(*range(1000))).splitlines()
    assert lines == [*map(str, range(9)), "... and 991 mistakes more"]


@pytest.mark.parametrize("lines", [("a",), ("a", "b " * 1000), tuple(range(40)), ()])
def test_a_copy_in_another_process_is_the_same(lines):
    error = ModelRefused(*lines)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is ModelRefused
        assert (str(copied), copied.args) == (str(error), error.args)


def test_echoed_values_are_short():
    assert quoted("cat\ndog") == "'cat\\ndog'"
    assert len(quoted("x" * 10_000)) == 60
    assert quoted("x" * 10_000).startswith("'xxx")
    assert shortened("a  b\n c") == "a b c"
    assert shortened("abcdefghijklmnopqrstuvwxyz", 15) == "abcdef ... wxyz"
    assert few(range(5)) == "0, 1, 2, 3, 4"
    assert few(range(6)) == "0, 1, 2, 3, 4, ..."
    assert len(few(["y" * 999] * 999)) < 320


def test_no_control_character_reaches_a_terminal():
    assert str(AuditError("a\x1b[31mb\x07\n\u202ec")) == "a [31mb c"
    assert one_line("\x1b]0;title\x07 x") == "]0;title x"


@pytest.mark.parametrize("user", ["bob:secret", "secret", ":secret", "a@b:secret@"])
def test_user_and_password_of_an_address_are_not_told(user):
    told = str(AuditError(f"404 for url: http://{user}@127.0.0.1:5000/a@b?c=d"))
    assert told == "404 for url: http://127.0.0.1:5000/a@b?c=d"
    assert one_line("s3://bucket/a@b, //c d@e") == "s3://bucket/a@b, //c d@e"
