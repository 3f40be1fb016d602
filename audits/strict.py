"""The base of every config model: frozen, strict, and helpful about unknown keys."""

import difflib
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ratio = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Maps one to one to a YAML mapping; refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def closest_key(key: str) -> str | None:
    """The config key that an unknown one was probably meant to be, if any is close."""
    known = sorted({name for model in _models(Strict) for name in model.model_fields})
    return next(iter(difflib.get_close_matches(key, known, n=1)), None)


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)
