"""Fields of a check's config that take one value or several."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from audits.strict import Count


def one_or_several(value: Any) -> Any:
    """A value as a tuple: a number, a text or a list becomes a tuple, all else stays.

    A strict tuple takes a list from JSON, but not from a validator.
    """
    if isinstance(value, int | str) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _each_once(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if not sizes or len(set(sizes)) < len(sizes):
        raise ValueError(f"expected one or more sizes, each once, got {list(sizes)}")
    return sizes


Sizes = Annotated[tuple[Count, ...], BeforeValidator(one_or_several), AfterValidator(_each_once)]
"""Sizes in pixels, each once: one number or several."""
