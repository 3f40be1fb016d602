"""make agreement: measures the checks `agreement` and `human_maps`, and writes docs/agreement.md.

It needs the data folder (FILLBLANKS_DATA). Networks and figures stay in --folder, so that a run
that was cut short goes on. --quick takes a few images and draws; its figures mean little.
"""

import argparse
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make agreement", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean little")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-agreement")
    parser.add_argument("--page", type=Path, help="default docs/agreement.md; quick: in the folder")
    options = parser.parse_args()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from agreement import measure, page

    found = measure.rows(options.folder, quick=options.quick)
    place = options.page or (
        options.folder / "agreement.md" if options.quick else _ROOT / "docs/agreement.md"
    )
    page.write(found, place, quick=options.quick)
    print(f"written to {place}")


if __name__ == "__main__":
    main()
