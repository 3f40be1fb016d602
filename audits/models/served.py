"""Finds what a model's folder holds besides the flavour that is audited.

Whoever loads the model elsewhere may take another flavour of it than the audit does: MLflow's own
server takes `python_function`. So a flavour that may answer otherwise, and a file that no flavour
names, are told and refused, unless the config says which flavour is served.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.models import Model

from audits.errors import ModelRefused, few, quoted
from audits.models.flavours.base import PROBABILITIES, Flavour
from audits.models.folder import WRITTEN_BY_CLIENT

_PYFUNC, _MLMODEL = "python_function", "MLmodel"
# Keys of python_function's entry, and of its companions', under which MLflow's loaders look for
# files. Other flavours say themselves which files are their own. Nobody but the owner's server
# reads `extra_files`, which may hold the names of classes.
_NAMING_KEYS_OF_PYFUNC = (
    *("data", "model_path", "model_data", "model_binary", "pickled_model", "model_code_path"),
    *("artifacts", "python_model"),
)
_NAMING_KEYS_OF_EXAMPLE = ("artifact_path", "serving_input_path")
# Keys of python_function's entry by which an answer is the flavour's own.
_PYFUNC_KEYS = frozenset(
    {"loader_module", "python_version", "env", "data", "model_path", "code"}
    | {"streamable", "pickle_module_name"}
)
# Values of its `predict_fn`. By others, such as `apply`, MLflow's server gives no class.
_PREDICT_FNS = ("predict", *PROBABILITIES)
_CONFIG_KEYS = frozenset({"device"})  # of its `config`, which MLflow's loader gets
_DATA_KEYS = ("data", "model_path")  # of python_function's entry: where its loader looks
# Files that MLflow writes beside a model. They describe it, its packages, and an input.
_OF_MLFLOW = frozenset(
    {
        _MLMODEL,
        WRITTEN_BY_CLIENT,
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "constraints.txt",
        "original_requirements.txt",
        "environment_variables.txt",
        "uv.lock",
        "pyproject.toml",
        ".python-version",
        "input_example.json",
        "serving_input_example.json",
        "model_card.md",
        "model_card_data.yaml",
        "LICENSE.txt",
        "README.md",
    }
)
_WHEELS = "wheels"  # of WheeledModel: the packages of requirements.txt


def others(
    folder: Path, conf: Model, flavour: Flavour, data: Path, files: Collection[str]
) -> tuple[str, ...]:
    """What the folder holds besides `flavour`, each in words: flavours, then files.

    `data` is the flavour's own file or folder, `files` are the paths of all files. A companion is
    left out: an entry that leads MLflow to the same data by its own loader of that flavour.
    """
    entries = {
        name: entry if isinstance(entry, dict) else {} for name, entry in conf.flavors.items()
    }
    told = [
        _told(name, entries)
        for name in entries
        if name != flavour.name and not _is_companion(name, entries, flavour, folder, data)
    ]
    if flavour.name != _PYFUNC and _PYFUNC in entries and (names := _parameters(conf)):
        told.append(f"parameters in the signature ({few(names)})")
    named = _named(folder, conf, entries, flavour, data)
    usual = (_MLMODEL, f"metadata/{_MLMODEL}")
    nested = [path for path in files if path.endswith(f"/{_MLMODEL}") and path not in usual]
    if nested and flavour.name != _PYFUNC:  # whose artifacts may be models
        told.append(f"another {_MLMODEL} ({few(nested)})")
    told += flavour.beside(data)
    loose = [path for path in files if not _is_named(path, named)]
    if loose:
        told.append(f"file{'s' if len(loose) > 1 else ''} that no flavour names ({few(loose)})")
    return tuple(told)


def expect_one(flavour: Flavour, found: Collection[str]) -> None:
    """Raises ModelRefused if the folder holds more than the flavour, with what is to be done."""
    if found:
        raise ModelRefused(
            f"Expected a model with one way to be loaded, got {flavour.name} and beside it "
            f"{'; '.join(found)}. If {flavour.name} is what is served, write `served: "
            f"{flavour.name}` into the config; else log the model without the rest."
        )


def _is_companion(
    name: str, entries: Mapping[str, dict[str, Any]], flavour: Flavour, folder: Path, data: Path
) -> bool:
    if flavour.name == _PYFUNC:
        own, other = entries[_PYFUNC], entries[name]
        places = [other[key] for key in ("data", "model_data") if key in other]
        return own.get("loader_module") == f"mlflow.{name}" and (
            own.get("data") is None or all(place == own["data"] for place in places)
        )
    if name != _PYFUNC:
        return False
    entry = entries[_PYFUNC]
    given = {key: entry[key] for key in _DATA_KEYS if entry.get(key) is not None}
    same_place = all(_place(folder, value) == data for value in given.values())
    wanted = bool(given.keys() & set(flavour.pyfunc_keys)) if flavour.pyfunc_keys else not given
    same_code = (entry.get("code") or None) == (entries[flavour.name].get("code") or None)
    own_loader = entry.get("loader_module") == f"mlflow.{flavour.name}"
    plain = not _odd_keys(entry)
    return own_loader and same_place and wanted and same_code and plain


def _odd_keys(entry: Mapping[str, Any]) -> list[str]:
    """Keys of python_function's entry, with a value, of which the flavour knows nothing."""
    config = entry.get("config")
    if isinstance(config, Mapping):
        config = [key for key, value in config.items() if value and key not in _CONFIG_KEYS]
    given = {key for key, value in entry.items() if value} - {"config"}
    if entry.get("predict_fn", "predict") in _PREDICT_FNS:
        given -= {"predict_fn"}
    return sorted(map(str, given - _PYFUNC_KEYS)) + (["config"] if config else [])


def _parameters(conf: Model) -> list[str]:
    """Names in the signature whose defaults MLflow's server gives to the model."""
    given = conf.signature.params if conf.signature is not None else None
    return [parameter.name for parameter in given] if given is not None else []


def _told(name: str, entries: Mapping[str, dict[str, Any]]) -> str:
    """A flavour in words, with what leads elsewhere."""
    keys = ("loader_module", *_DATA_KEYS, "code") if name == _PYFUNC else ("data", "model_data")
    keys = (*keys, *(_odd_keys(entries[name]) if name == _PYFUNC else []))
    led = [f"{key} {quoted(entries[name][key])}" for key in keys if entries[name].get(key)]
    return f"flavour {quoted(name)}" + (f" with {', '.join(led)}" if led else "")


def _named(
    folder: Path,
    conf: Model,
    entries: Mapping[str, dict[str, Any]],
    flavour: Flavour,
    data: Path,
) -> set[str]:
    """Paths of files and folders that the flavour, its companions, or MLmodel's example name."""
    taken = [
        entry
        for name, entry in entries.items()
        if name == flavour.name or _is_companion(name, entries, flavour, folder, data)
    ]
    example = getattr(conf, "saved_input_example_info", None) or {}
    keys = ("code", *(_NAMING_KEYS_OF_PYFUNC if flavour.name == _PYFUNC else ()))
    naming = [entry[key] for entry in taken for key in keys if key in entry]
    naming += [example[key] for key in _NAMING_KEYS_OF_EXAMPLE if key in example]
    texts = {text for value in naming for text in _texts(value)}
    if flavour.name == _PYFUNC:
        # The path of a model from code is absolute: MLflow looks for its last part in the folder.
        code = [entry["model_code_path"] for entry in taken if "model_code_path" in entry]
        texts |= {PurePosixPath(str(path)).name for path in code}
    root = folder.resolve()
    found = {place for text in texts if (place := _place(folder, text)) is not None}
    found.discard(data.resolve())  # the flavour itself says which files of its folder are its own
    parts = {part.resolve() for part in flavour.parts(data) if part.resolve() != root}
    return {place.relative_to(root).as_posix() for place in {*found, *parts} if place != root}


def _is_named(path: str, named: Collection[str]) -> bool:
    place = PurePosixPath(path)
    if path in _OF_MLFLOW or any(str(one) in named for one in (place, *place.parents)):
        return True
    if len(place.parts) != 2:
        return False
    top, name = place.parts
    return (top == "metadata" and name in _OF_MLFLOW) or (top == _WHEELS and name[-4:] == ".whl")


def _place(folder: Path, text: object) -> Path | None:
    """The file or folder below `folder` that `text` names; None if there is none."""
    if not isinstance(text, str) or not text or "\0" in text or len(text) > 1000:
        return None
    root = folder.resolve()
    try:
        place = (root / text).resolve()
        return place if root in place.parents and place.exists() else None
    except OSError:  # too long for a name
        return None


def _texts(value: object) -> Iterator[str]:
    """All texts in a value of MLmodel."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
