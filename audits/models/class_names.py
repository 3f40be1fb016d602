"""Names of a model's logits, as a file, a config or the model's metadata give them."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audits.data.places import expect_ordinary
from audits.errors import AuditError, quoted
from audits.models.preprocessing import Preprocessing

_INDEX = re.compile("[0-9]{1,9}")
_NUMBERED = re.compile(r"([0-9]{1,9})[\s,;:]+(\S.*)")


def names_of_config(preprocessing: Preprocessing) -> tuple[str, ...] | None:
    """The config's class names, from its list or its file. Raises AuditError for a bad file."""
    if preprocessing.classes_file is None:
        return preprocessing.classes
    return read_names(preprocessing.classes_file)


def read_names(path: str) -> tuple[str, ...]:
    """Names from a text or JSON file, in the order of the logits. Raises AuditError.

    A text file has a name, `index name` or `wnid name` a line. JSON is as for `names_in`.
    """
    file = Path(path).expanduser()
    expect_ordinary(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AuditError(
            f"Expected class names at preprocessing.classes_file {file}, found no file. Give a "
            "path that is right from the working directory."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected a UTF-8 text file of class names at {file}: {error}") from error
    try:
        names = names_in(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else _in_lines(text)
    except json.JSONDecodeError as error:
        raise AuditError(f"Expected JSON of class names in {file}, got: {error}") from error
    except ValueError as error:
        raise AuditError(f"Expected class names in {file}, {error}") from error
    return names


def names_in(value: Any) -> tuple[str, ...]:
    """Names from plain values, in the order of the logits; a name may stand twice.

    The values are a list of names, {"0": name}, {"0": [wnid, name]} or {name: 0}. Raises ValueError
    that begins with "got".
    """
    if isinstance(value, dict) and value:
        pairs = list(value.items())
        numbers = all(_is_index(key) and type(name) is int for key, name in pairs)
        if numbers and any(int(key) != name for key, name in pairs):
            raise ValueError(
                f"got {quoted(value)}, in which either number may be the name. Give a list."
            )
        if not all(_is_index(key) for key, _ in pairs):
            pairs = [(index, name) for name, index in pairs]
        if not all(_is_index(key) for key, _ in pairs):
            raise ValueError(f"got {quoted(value)}, whose keys are no indices.")
        value = _in_order([(int(index), name) for index, name in pairs])
    if not isinstance(value, list) or not value:
        raise ValueError(f"got {quoted(value)}. Give a list of names or a mapping from indices.")
    return tuple(_name(entry) for entry in value)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names as they are shown: one that stands twice has its index behind it."""
    times = Counter(names)
    return tuple(f"{n} ({i})" if times[n] > 1 else n for i, n in enumerate(names))


def _in_lines(text: str) -> tuple[str, ...]:
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    if not lines:
        raise ValueError("got an empty file.")
    if "" in lines:
        raise ValueError(f"got none in line {lines.index('') + 1}. Write one name a line.")
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    pairs = [(int(found[1]), found[2]) for found in numbered if found]
    # Names may begin with a number themselves: only a file that counts from 0 is of indices.
    if len(pairs) == len(lines) and min(pairs)[0] == 0:
        return tuple(_in_order(pairs))
    return tuple(lines)


def _is_index(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and _INDEX.fullmatch(value) is not None)


def _in_order(pairs: list[tuple[int, Any]]) -> list[Any]:
    """The values of the keys 0, 1, ..., each of which must be there once."""
    numbered = dict(pairs)
    if len(numbered) < len(pairs):
        twice = Counter(index for index, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"got the index {twice} twice.")
    missing = next((i for i in range(len(numbered)) if i not in numbered), None)
    if missing is not None:
        raise ValueError(f"got none for index {missing}. Number them from 0 without a gap.")
    return [numbered[i] for i in range(len(numbered))]


def _name(entry: Any) -> str:
    """A name, or a wnid and a name, as one text."""
    parts = entry if isinstance(entry, list) and entry else [entry]
    if not all(isinstance(p, str | int | float) and not isinstance(p, bool) for p in parts):
        raise ValueError(f"got {quoted(entry)} among the names. Give text.")
    name = " ".join(" ".join(str(part) for part in parts).split())
    if not name:
        raise ValueError("got an empty name among them.")
    return name
