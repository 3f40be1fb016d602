"""Names of logits are read from every form of file, or a line says what is wrong with it."""

import json

import pytest

from audits.errors import AuditError
from audits.models.class_names import distinct, names_of_config, read_names
from audits.models.preprocessing import Preprocessing

TENCH = ("n01440764 tench, Tinca tinca", "n01443537 goldfish")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("\ufeffcat\r\ndog", ("cat", "dog")),
        ("crane\ncrane", ("crane", "crane")),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro")),
        ("7\n3\n", ("7", "3")),
        ("1 dog\n0 polar  bear\n", ("polar bear", "dog")),
        ("0: cat\n1: dog", ("cat", "dog")),
        ("0,cat\n1,dog", ("cat", "dog")),
        ("\n".join(TENCH), TENCH),
        (json.dumps(["cat", 7]), ("cat", "7")),
        (json.dumps({"1": "dog", "0": "cat"}), ("cat", "dog")),
        (json.dumps({"dog": 1, "cat": 0}), ("cat", "dog")),
        (json.dumps({"1": 1, "0": 0}), ("0", "1")),
        (json.dumps({"1": "0", "0": "1"}), ("1", "0")),
        (json.dumps({str(i): t.split(" ", 1) for i, t in enumerate(TENCH)}), TENCH),
    ],
)
def test_every_form_gives_names_in_the_order_of_the_logits(text, names, tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text(text, encoding="utf-8", newline="")
    monkeypatch.chdir(tmp_path)
    assert names_of_config(Preprocessing(classes_file="names.txt")) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"cat\n\ndog", "got none in line 2"),
        (b"0 cat\n0 dog", "got the index 0 twice"),
        (b"0 cat\n2 dog", "got none for index 1"),
        (b"\xff\xfe\x00", "Expected a UTF-8 text file of class names at"),
        (b"[1, 2", "Expected JSON of class names in"),
        (b"[]", r"got \[\]"),
        (b"{}", "Give a list of names or a mapping from indices"),
        (b'{"a": "b"}', "whose keys are no indices"),
        (b'{"0": "a", "00": "b"}', "got the index 0 twice"),
        (b'{"cat": 0, "dog": 0}', "got the index 0 twice"),
        (b'{"1": "a"}', "got none for index 0"),
        (b'{"0": 1, "1": 0}', "in which either number may be the name"),
        (b'["a", null]', "got None among the names"),
        (b'["a", {"b": 1}]', "got {'b': 1} among the names"),
        (b'["a", " "]', "got an empty name"),
        (json.dumps({f"x\n{i}": "y" * 900 for i in range(900)}).encode(), "keys are no indices"),
    ],
)
def test_a_bad_file_is_refused_in_a_line(content, message, tmp_path):
    file = tmp_path / "names.json"
    file.write_bytes(content)
    with pytest.raises(AuditError, match=message) as refused:
        read_names(str(file))
    assert "names.json" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 400


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(AuditError, match=r"Expected class names at .*none\.txt, found no file"):
        read_names(str(tmp_path / "none.txt"))
    with pytest.raises(AuditError, match="Expected a UTF-8 text file of class names at"):
        read_names(str(tmp_path))


def test_a_name_that_stands_twice_is_shown_with_its_index():
    assert distinct(["a", "b", "a"]) == ("a (0)", "b", "a (2)")


def test_names_are_given_once():
    assert Preprocessing(classes=("a", "a")).classes == ("a", "a")
    with pytest.raises(ValueError, match="expected classes or classes_file, got both"):
        Preprocessing(classes=("a", "b"), classes_file="names.txt")


@pytest.mark.parametrize("target", [-1, 1.5, True, None, [0]])
def test_a_class_map_leads_to_names_and_indices_only(target):
    with pytest.raises(ValueError, match="expected the name or the index of a class of the model"):
        Preprocessing(class_map={"cat": target})


def test_names_are_read_from_no_file_of_the_kernel():
    with pytest.raises(AuditError, match="which is below /proc"):
        read_names("/proc/self/environ")
