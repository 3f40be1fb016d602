"""Counts the values of YAML of somebody else before they are built."""

from typing import Any, Literal

import yaml


def excess(
    text: str, loader: Any, most_values: int, most_levels: int
) -> Literal["contains itself", "too large"] | None:
    """Why YAML must not be built; None if it may. Aliases count as if they were written out.

    Only events of the parser of `loader` are looked at. Raises yaml.YAMLError.
    """
    sizes: dict[str, int] = {}  # values below each anchor
    open_: list[tuple[str | None, int]] = []  # anchors of open collections, values before them
    values = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                return "contains itself"
            values += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, values))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
            values += 1
        if values > most_values or len(open_) > most_levels:
            return "too large"
    return None
