"""The input contract's fields that a model's metadata names: those given to log_model."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from audits.errors import ModelRefused, quoted
from audits.models.class_names import names_in
from audits.models.contract import Said, finite_numbers
from audits.models.preprocessing import Preprocessing

SOURCE = "the model's metadata"
_OF_AUDITORS = {"classes_file", "class_map", "overrides"}


def said_by_metadata(metadata: Mapping[str, Any]) -> Said:
    """`mean`, `std`, `classes`, and the fields of a mapping `preprocessing`, as a config has them.

    Other keys are the owner's and are not read. Raises ModelRefused if a value makes no sense.
    """
    named = {
        "mean": _numbers(metadata.get("mean"), "mean"),
        "std": _numbers(metadata.get("std"), "std"),
        "classes": _names(metadata.get("classes")),
    }
    given = metadata.get("preprocessing")
    if given is None:
        return Said(SOURCE, named)
    inside = _preprocessing(given)
    for key in named.keys() & inside.keys():
        value, other = named[key], inside[key]
        if value is not None and value != tuple(other):
            raise ModelRefused(
                f"Expected one value of {key} in the model's metadata, got {quoted(value)} and, "
                f"under preprocessing, {quoted(other)}. Correct one of them: servers may read "
                "either."
            )
    return Said(SOURCE, {**named, **inside})


def _preprocessing(given: Any) -> dict[str, Any]:
    if isinstance(given, dict) and (foreign := sorted(_OF_AUDITORS & given.keys())):
        raise ModelRefused(
            f"Expected fields of preprocessing in the model's metadata, got {foreign[0]}, which "
            "only an audit's config may have. Leave it out."
        )
    try:
        return Preprocessing.model_validate_json(json.dumps(given)).contract_fields
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else ""
        told = first["msg"] if first else str(error)
        raise ModelRefused(
            f"Expected fields of preprocessing in the model's metadata, but {where}: {told}. "
            "Correct the metadata."
        ) from error


def _numbers(value: Any, name: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    numbers = finite_numbers(value)
    if numbers is None:
        raise ModelRefused(
            f"Expected numbers as {name!r} in the model's metadata, got {quoted(value)}."
        )
    return numbers


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    try:
        return names_in(value)
    except ValueError as error:
        raise ModelRefused(f"Expected class names in the model's metadata, {error}") from error
