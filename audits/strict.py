"""The base of every config model: frozen, strict, and closed to unknown keys."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_MOST = 1_000_000_000  # images, pixels or classes; more than there are
_LONGEST_PLACE = 4096  # characters, as Linux has them
_LONGEST_TEXT = 1000
_SHOWN = 60
_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")


def _place_name(text: str) -> str:
    fits = text.strip() and len(text) <= _LONGEST_PLACE and not _has_controls(text)
    if not fits:
        raise ValueError(
            f"expected a path or URI, up to {_LONGEST_PLACE:,} characters and none of them a "
            f"control character, got {text[:_SHOWN]!r}"
        )
    if _PASSWORD.search(text):  # configs are recorded in MLflow
        raise ValueError("expected a URI without user and password; give them in the environment")
    return text


def _short_text(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST_TEXT or _has_controls(text, but="\n\t"):
        raise ValueError(
            f"expected a text of up to {_LONGEST_TEXT:,} characters, got {text[:_SHOWN]!r}"
        )
    return text


def _has_controls(text: str, but: str = "") -> bool:
    return any(unicodedata.category(one) == "Cc" and one not in but for one in text)


Count = Annotated[int, Field(gt=0, le=_MOST)]
PlaceName = Annotated[str, AfterValidator(_place_name)]
"""A path or URI as a person writes it; what is there is looked at later."""
ShortText = Annotated[str, AfterValidator(_short_text)]
Ratio = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A config that maps one to one to a YAML mapping and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The sorted keys that are allowed in the mapping in which pydantic reports an error.

    `location` is the error's path from `model`: keys, positions in lists, and the `kind` that
    selects one of several models. Its last part is the key that was reported.
    """
    candidates = [model]
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        chosen = [c for c in candidates if _kind(c) == part] if len(candidates) > 1 else []
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        candidates = chosen or [m for f in fields for m in _models_in(f.annotation)]
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _kind(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Every config model in a type, also inside unions, tuples and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
