"""Results on stdout and errors on stderr: lines, tables and JSON."""

import shutil
import traceback
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, cast

from flows.terminal import display
from flows.terminal.streams import ERR, OUT
from flows.terminal.text import clean, clean_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_LONGEST = 2000  # characters of a line of an error
_WIDEST = 100  # columns; a table that is wider is harder to read
_NARROW = 60  # a table that is narrower is harder to read than lines
_NARROWEST = 20
_WITHOUT_A_TERMINAL = 80
_BELOW_THE_HEADINGS = "    \n    \n -- \n" + "    \n" * 5


def say(text: str = "") -> None:
    """Prints lines to stdout."""
    _print(f"{clean_lines(text)}\n")


def say_as_it_is(text: str) -> None:
    """Prints to stdout what programs read, JSON and YAML, to the letter."""
    _print(text)


def complain(text: str) -> None:
    """Prints lines to stderr."""
    display.clear()
    ERR.write(f"{clean_lines(text, _LONGEST)}\n")
    ERR.flush()


def complain_of_a_crash() -> None:
    """Prints the traceback of the exception that is being handled to stderr."""
    complain(traceback.format_exc().rstrip("\n"))


def show(renderable: "RenderableType") -> None:
    """Prints something of rich to stdout, `width()` columns wide."""
    from rich.console import Console

    display.clear()
    console = Console(file=cast("IO[str]", OUT), width=width(), highlight=False, emoji=False)
    console.print(renderable)
    OUT.flush()


def width() -> int:
    """Columns of a table: those of the terminal, at most 100; without a terminal COLUMNS, or 80."""
    columns = shutil.get_terminal_size((_WITHOUT_A_TERMINAL, 24)).columns
    return max(_NARROWEST, min(columns, _WIDEST))


def table(
    headings: Sequence[str], rows: Sequence[Sequence["str | Text"]], *, whole: Sequence[str] = ()
) -> "RenderableType":
    """A table that fits `width()` columns; what is too wide for its cell goes on in the next line.

    Cells of the columns `whole` are not broken into lines. If there is no room for columns, each
    cell stands on lines of its own, behind its heading.
    """
    from rich.box import Box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    texts = [[Text(clean(c)) if isinstance(c, str) else c for c in row] for row in rows]
    if width() < _NARROW:
        return Group(*(_stacked(headings, row) for row in texts))
    made = Table(
        box=Box(_BELOW_THE_HEADINGS, ascii=True),
        padding=(0, 1, 0, 0),
        show_edge=False,
        header_style="bold",
    )
    for heading in headings:
        made.add_column(heading, overflow="fold", no_wrap=heading in whole)
    for row in texts:
        made.add_row(*row)
    return made


def _stacked(headings: Sequence[str], row: Sequence["Text"]) -> "Text":
    from rich.text import Text

    lines = Text()
    for heading, cell in zip(headings, row, strict=True):
        lines.append(f"{heading}: " if heading else "", style="bold").append(cell).append("\n")
    return lines


def _print(text: str) -> None:
    display.clear()
    OUT.write(text)
    OUT.flush()
