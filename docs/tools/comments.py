"""An extension of griffe: the comment behind a field is its description in the reference.

Dataclasses here say shape and unit of a field in a comment on its line, which readers of the code
see first; without this the reference would not show it.
"""

import io
import tokenize
from collections.abc import Iterator
from typing import Any

from griffe import Attribute, Class, Docstring, Extension, Module


class Comments(Extension):
    """Takes the comment on a public attribute's own lines as its docstring, if it has none."""

    def on_attribute_instance(self, *, attr: Attribute, **kwargs: Any) -> None:
        if attr.docstring is None and not attr.name.startswith("_") and attr.lines:
            comment = " ".join(_comments("\n".join(attr.lines)))
            if comment and not comment.startswith(("noqa", "type:")):
                attr.docstring = Docstring(comment, lineno=attr.lineno, parent=attr)

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        for description in _descriptions(pkg):
            if "`" not in description.value:  # a browser would take models:/m-<id> for a tag
                description.value = description.value.replace("<", "&lt;")


def _descriptions(parent: Module | Class) -> Iterator[Docstring]:
    """Docstrings of all attributes below `parent`."""
    for member in parent.members.values():
        if isinstance(member, Module | Class):
            yield from _descriptions(member)
        elif isinstance(member, Attribute) and member.docstring:
            yield member.docstring


def _comments(code: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(code.strip()).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
