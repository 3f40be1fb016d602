"""The commands that the pages of the project show, each as the words of a shell."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_SHELLS = ("sh", "bash", "console", "shell")
_PROGRAMS = ("fillblanks", "make", "python", "mlflow", "prefect")
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def commands_of(page: Path) -> list[tuple[str, ...]]:
    """The commands in the blocks of a page that are for a shell, in their order."""
    found = []
    for _, language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language not in _SHELLS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            if words and words[0] in _PROGRAMS:
                found.append(tuple(words))
    return found


def inline_of(page: Path) -> list[tuple[str, ...]]:
    """The commands of fillblanks and make that stand in the text of a page, between backticks."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"(?<!`)`((?:fillblanks|make) [^`]+)`(?!`)", text)
    return [tuple(shlex.split(command)) for command in found]


ALL = {page: commands_of(page) for page in PAGES}
EACH = list(dict.fromkeys(command for commands in ALL.values() for command in commands))
_OTHERS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
INLINE = list(
    dict.fromkeys(
        command
        for page in (*PAGES, *(ROOT / name for name in _OTHERS))
        for command in inline_of(page)
    )
)
