"""The page docs/agreement.md, from the figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prose import machine, page_template

from agreement.measure import DRAWS, IMAGES, PATCH, Row


def write(found: dict[str, list[Row]], page: Path, *, quick: bool) -> None:
    """Writes the page."""
    text = page_template(Path(__file__).parent).render(
        quick=quick,
        machine=machine(),
        images=IMAGES,
        draws=DRAWS,
        patch=PATCH,
        **{kind: [_words(row) for row in rows] for kind, rows in found.items()},
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _words(row: Row) -> dict[str, str]:
    return {name: _word(value) for name, value in row.items()}


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        numbers = [f"{round(one, 2) + 0:.2f}" for one in value]
        if len(numbers) == 3:
            return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
        return " / ".join(numbers)
    return f"{round(value, 2) + 0:.2f}" if isinstance(value, float) else str(value)
