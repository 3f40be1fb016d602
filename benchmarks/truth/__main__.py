"""make truth: trains the zoo, runs the checks on it, and writes docs/truth.md.

It needs the data folder (FILLBLANKS_DATA). Networks and figures stay in --folder, so that a run
that was cut short goes on. --quick takes a few networks; its figures mean little.
"""

import argparse
import json
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# Seeds from 1,000 on: the bounds were chosen on networks of smaller seeds.
_FIRST = 1000
_STANDARD = {"none": 12, "fixed": 8, "moving": 3, "tint": 3}
_QUICK = {"none": 2, "fixed": 2}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make truth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean little")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-truth")
    parser.add_argument("--page", type=Path, help="default docs/truth.md; quick: in the folder")
    options = parser.parse_args()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from truth.measure import KEY, Row, rows
    from truth.page import write
    from truth.zoo import Specimen

    counts = _QUICK if options.quick else _STANDARD
    datasets = ("FashionMNIST",) if options.quick else ("FashionMNIST", "CIFAR10")
    found: list[Row] = []
    for dataset in datasets:
        for kind, count in counts.items():
            for seed in range(_FIRST, _FIRST + count):
                specimen = Specimen(dataset, kind, seed)
                kept = options.folder / f"{specimen.file_name}-{KEY}.json"
                if not kept.exists():
                    measured = rows(specimen, options.folder)
                    kept.write_text(json.dumps(measured))
                found += [Row(*row) for row in json.loads(kept.read_text())]
                print(*found[-3:], sep="\n", flush=True)
    page = options.page or (
        options.folder / "truth.md" if options.quick else _ROOT / "docs/truth.md"
    )
    write(found, page, options.quick)
    print(f"written to {page}")


if __name__ == "__main__":
    main()
