"""What the pages of the benchmarks share: filled paragraphs, and the words for the machine."""

import os
import re
import textwrap
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def filled(text: str) -> str:
    """Markdown with its paragraphs and list items filled to 100 columns, as figures differ."""
    blocks = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(("|", "!", "#")):
            items = re.split(r"\n(?=- )", block)
            indents = ("  " if item.startswith("- ") else "" for item in items)
            block = "\n".join(
                textwrap.fill(
                    " ".join(item.split()), 100, subsequent_indent=indent, break_on_hyphens=False
                )
                for item, indent in zip(items, indents, strict=True)
            )
        blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def machine() -> str:
    """The device that measures, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores ({torch.backends.cpu.get_cpu_capability()})"


def page_template(folder: Path, *, lstrip_blocks: bool = True) -> Template:
    """`page.md.j2` in `folder`. A name that the page does not get is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=lstrip_blocks,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    ).get_template("page.md.j2")
