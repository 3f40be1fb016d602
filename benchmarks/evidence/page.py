"""The page docs/evidence.md, from the figures of both parts."""

from collections.abc import Sequence
from pathlib import Path

from prose import machine, page_template

from audits.evidence.estimate import Estimate
from evidence import mosaic, small


def write(
    of_small: Sequence[small.Row],
    of_mosaic: Sequence[mosaic.Row],
    page: Path,
    *,
    accuracy: float,
    quick: bool,
) -> None:
    """Writes the page."""
    text = page_template(Path(__file__).parent).render(
        quick=quick,
        machine=machine(),
        accuracy=f"{accuracy:.2f}",
        small=[_small(row) for row in of_small],
        images=of_small[0].figures["faithfulness"].n,
        mosaic=[_mosaic(row) for row in of_mosaic],
        photographs=of_mosaic[0].inside.n,
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _small(row: small.Row) -> dict[str, str]:
    told = {name: _told(estimate) for name, estimate in row.figures.items()}
    return {
        **told,
        "name": row.name,
        "passes": _passes(row.passes, row.gradient) if row.passes else "-",
        "lift": "-" if row.lift is None else _told(row.lift),
        "sanity": "-" if row.sanity is None else _told(row.sanity),
    }


def _mosaic(row: mosaic.Row) -> dict[str, str]:
    return {
        "name": row.name,
        "passes": _passes(row.passes, row.gradient),
        "inside": _told(row.inside),
        "pointing": _told(row.pointing),
    }


def _passes(count: int, gradient: bool) -> str:
    return f"{count:,}{' with gradient' if gradient else ''}"


def _told(estimate: Estimate) -> str:
    if not estimate.n:
        return "no maps"
    # Without + 0, a value that is rounded to zero may be written as -0.00.
    value, low, high = (round(x, 2) + 0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
