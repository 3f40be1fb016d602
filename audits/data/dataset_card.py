"""The card of a folder of Hugging Face's `datasets` library: what the library takes from it.

A card is the head of README.md, .huggingface.yaml and dataset_infos.json. It may name the classes
of a column, and the files of a split, which the library then reads instead of those it would find.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from audits.data.places import expect_ordinary
from audits.data.scan import named
from audits.errors import AuditError, few, quoted
from audits.yaml_size import excess

_README, _STANDALONE, _OLDER = "README.md", ".huggingface.yaml", "dataset_infos.json"
_LONGEST = 4 << 20  # bytes
_VALUES, _DEPTH = 500_000, 50
_MOST_STARS = 2
_MOST_LOOKS = 8  # for the files of a split of several configurations, each of which takes seconds
_HEAD = re.compile(r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Names of tables that name image files."""

_TEXTS = ("", ".csv", ".json", ".jsonl", ".md", ".pdf", ".txt", ".yaml", ".yml")
_ROWS = ("columns", "filters", "drop_labels", "drop_metadata")
"""Settings of a configuration that take other rows or labels than the files have."""


class Card(NamedTuple):
    """The card of a folder.

    `names` are lists of class names that it has for a column; `splits` are names of splits, of
    those configurations that name files, each with a function that looks for its files.
    """

    names: Mapping[str, tuple[tuple[str, ...], ...]]
    splits: tuple[tuple[str, Callable[[], Iterable[str]]], ...]

    def classes(self, column: str) -> tuple[str, ...] | None:
        """The class names of a column; None without any. Raises AuditError for several lists."""
        found = list(dict.fromkeys(self.names.get(column, ())))
        if len(found) > 1:
            raise AuditError(
                f"Expected one list of class names for {column!r} in the card of the data set, "
                f"got {few(found[0])} and {few(found[1])}. Keep the one of these files."
            )
        return found[0] if found else None

    def expect_files(self, split: str | None, files: Iterable[Path]) -> None:
        """Raises AuditError if the card names other files for the split than `files`."""
        if not self.splits:
            return
        read = {file.resolve() for file in files}  # files of the hub's cache are links
        called = [look for name, look in self.splits if name == split]
        for look in (called or [look for _, look in self.splits])[:_MOST_LOOKS]:
            told = map(Path, look())
            if {file.resolve() for file in told if _is_data(file)} == read:
                return
        names = named(list(dict.fromkeys(name for name, _ in self.splits)))
        raise AuditError(
            f"Expected the files that the data set's card names for {quoted(split or 'a split')} "
            f"(it has: {names}), got {len(read)} others, as {few(sorted(f.name for f in read))}. "
            f"Correct configs in {_README}, or set data.path to a folder without it."
        )


def card_of(datasets: Any, folder: Path) -> Card | None:
    """The card of `folder` as the library `datasets` reads it; None if there is none.

    Raises AuditError if it is too large, or leads out of the folder.
    """
    told, older = _told(folder), _text(folder / _OLDER)
    if older is not None:
        json.loads(older)  # fails here if it is too deep
    if older is None and not told.keys() & {"configs", "dataset_info"}:
        return None
    _expect_looked_for_inside(told.get("configs") or ())
    for entry in folder.rglob("*"):  # the library looks into archives to tell what they hold
        expect_ordinary(entry)
    from datasets.load import LocalDatasetModuleFactory
    from datasets.utils.metadata import MetadataConfigs

    module = LocalDatasetModuleFactory(str(folder)).get_module()
    local = datasets.DownloadConfig(local_files_only=True)
    configs = MetadataConfigs.from_dataset_card_data(told)
    found: dict[str, list[tuple[str, ...]]] = {}
    splits = []
    for info in (module.dataset_infos or {}).values():
        _gather(datasets, info.features, found)
    for config in module.builder_configs_parameters.builder_configs or ():
        _gather(datasets, getattr(config, "features", None), found)
        own = configs.get(config.name, {})
        if odd := [name for name in _ROWS if own.get(name)]:
            raise AuditError(
                f"Expected a card that names files and features alone, got {named(odd)}. Set "
                f"data.path to a folder without {_README}, or write the data set anew."
            )
        if own.keys() & {"data_files", "data_dir"} and _odd_place(own) is None:
            for split, patterns in config.data_files.items():
                splits.append((str(split), partial(patterns.resolve, _base(folder, own), local)))
    return Card({name: tuple(lists) for name, lists in found.items()}, tuple(splits))


def _base(folder: Path, config: Mapping[str, Any]) -> str:
    """The folder to which patterns of a configuration are relative."""
    return str(folder / (config.get("data_dir") or ""))


def _told(folder: Path) -> dict[str, Any]:
    """The values of the card in YAML."""
    told: dict[str, Any] = {}
    readme = _text(folder / _README)
    head = _HEAD.search(readme) if readme is not None else None
    for text in (head and head[2], _text(folder / _STANDALONE)):
        if not text:
            continue
        if excess(text, yaml.SafeLoader, _VALUES, _DEPTH):
            raise AuditError(
                f"Expected a card of at most {_VALUES:,} values and {_DEPTH} levels in {folder}."
            )
        values = yaml.safe_load(text)
        if values and not isinstance(values, dict):
            raise AuditError(f"Expected a mapping as the card of {folder}, got another value.")
        told.update(values or {})
    return told


def _text(file: Path) -> str | None:
    if not file.exists() or file.is_dir():
        return None
    expect_ordinary(file)
    if not file.is_file():
        raise AuditError(f"Expected an ordinary file at {file}, got a pipe or a device.")
    with file.open("rb") as stream:
        found = stream.read(_LONGEST + 1)
    if len(found) > _LONGEST:
        raise AuditError(f"Expected a {file.name} of at most {_LONGEST >> 20} MiB at {file}.")
    return found.decode("utf-8-sig")


def _expect_looked_for_inside(configs: Sequence[Mapping[str, Any]]) -> None:
    """Raises AuditError if the library would look elsewhere than in the card's folder.

    It looks for the files of the first configuration, and into the folder of each. Of several
    configurations of one name it keeps the last one, in the place of the first.
    """
    names = [config.get("config_name", "default") for config in configs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise AuditError(
            f"Expected configurations of different names in {_README}, got {quoted(twice[0])} "
            "twice. Correct configs there."
        )
    for number, config in enumerate(configs):
        _expect_inside(config if number == 0 else {"data_dir": config.get("data_dir")})


def _expect_inside(config: Mapping[str, Any]) -> None:
    """Raises AuditError if files of a configuration are elsewhere than in the card's folder."""
    if (odd := _odd_place(config)) is not None:
        raise AuditError(
            f"Expected files below the folder of the card, with at most {_MOST_STARS} stars a "
            f"name, got {quoted(odd)}. Correct configs in {_README}."
        )


def _odd_place(config: Mapping[str, Any]) -> str | None:
    """A pattern that leads elsewhere, or that takes the library hours; None if there is none."""
    for text in _texts([config.get("data_files"), config.get("data_dir")]):
        parts = PurePosixPath(text).parts
        leads_elsewhere = ":" in text or "\\" in text or text.startswith("/") or ".." in parts
        singles = [part.count("*") for part in parts if part != "**"]
        if leads_elsewhere or max(singles, default=0) > _MOST_STARS:
            return text
        if parts.count("**") > _MOST_STARS:
            return text
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _gather(datasets: Any, features: Any, found: dict[str, list[tuple[str, ...]]]) -> None:
    for name, feature in (features or {}).items():
        if isinstance(feature, datasets.ClassLabel) and feature.names:
            found.setdefault(name, []).append(tuple(map(str, feature.names)))


def _is_data(file: Path) -> bool:
    """Whether the library would take rows from the file, if it is one of a split."""
    return file.name in METADATA or file.suffix.lower() not in _TEXTS
