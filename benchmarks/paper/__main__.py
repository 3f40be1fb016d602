"""make paper: measures everything and writes docs/paper.md; --quick only shows that it runs.

It needs the data folder (FILLBLANKS_DATA). The registry, trained weights and finished units stay in
--folder, so that a run that was cut short goes on.
"""

import argparse
from pathlib import Path

from flows.terminal.environment import quieten

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make paper", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean nothing")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-paper")
    parser.add_argument("--page", type=Path, help="default docs/paper.md; quick: in the folder")
    options = parser.parse_args()
    quieten()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    import torch

    from paper.page import write
    from paper.protocol import FULL, QUICK, STANDARD

    folder = options.folder / "quick" if options.quick else options.folder
    page = options.page or (folder / "paper.md" if options.quick else _ROOT / "docs" / "paper.md")
    size = FULL if torch.cuda.is_available() else STANDARD
    write(QUICK if options.quick else size, folder, page)


if __name__ == "__main__":
    main()
