"""make truth-patches: trains networks with and without marks, measures the checks of patches on
them, and writes docs/truth_patches.csv and docs/truth_patches.md.

It needs the data folder (FILLBLANKS_DATA). Networks and figures stay in --folder, so that a run
that was cut short goes on.
"""

import argparse
from pathlib import Path

import torch

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make truth-patches", description=__doc__)
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-truth-patches")
    parser.add_argument("--page", type=Path, default=_ROOT / "docs/truth_patches.md")
    parser.add_argument("--limit", type=int, help="only the first networks of the plan")
    options = parser.parse_args()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from truth_patches import page, plan, table

    torch.set_num_threads(1)
    specimens = plan.standard()[: options.limit]
    found = [table.record(one, options.folder) for one in specimens]
    table.write(found, options.page.with_suffix(".csv"))
    page.write(table.read(options.page.with_suffix(".csv")), options.page)
    print(f"written to {options.page}")


if __name__ == "__main__":
    main()
