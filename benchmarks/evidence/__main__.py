"""make evidence: measures maps of evidence, and writes docs/evidence.md.

It needs the data folder (FILLBLANKS_DATA) and the extras dev and photos. The network stays in
--folder. --quick takes a few images; its figures mean little.
"""

import argparse
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean little")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-evidence")
    parser.add_argument("--page", type=Path, help="default docs/evidence.md; quick: in the folder")
    options = parser.parse_args()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from evidence import mosaic, page, small

    classifier = small.network(options.folder)
    of_small = small.rows(classifier, 10 if options.quick else 200)
    of_mosaic = mosaic.rows(4 if options.quick else 20)
    place = options.page or (
        options.folder / "evidence.md" if options.quick else _ROOT / "docs/evidence.md"
    )
    accuracy = small.accuracy(classifier)
    page.write(of_small, of_mosaic, place, accuracy=accuracy, quick=options.quick)
    print(f"written to {place}")


if __name__ == "__main__":
    main()
