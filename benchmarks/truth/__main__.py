"""make truth: trains the zoo, runs the checks on it, and writes docs/truth.csv and docs/truth.md.

It needs the data folder (FILLBLANKS_DATA). Networks that the table has with these checks are not
trained again; other networks and their figures stay in --folder, so that a run that was cut short
goes on. --quick takes a few networks and leaves docs/ alone; its figures mean little.
"""

import argparse
import os
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def main() -> None:
    options = _options()
    from networks import DATA

    if not DATA.is_dir():
        raise SystemExit(f"Expected data in {DATA}, found none. Set FILLBLANKS_DATA.")
    from truth import page, plan, runner, table, timing

    if options.tuning:
        specimens = plan.tuning(real=options.device != "cpu")
    else:
        specimens = plan.quick() if options.quick else plan.standard(real=options.device != "cpu")
    own = options.quick or options.tuning
    file = options.page or (options.folder / "truth.md" if own else _ROOT / "docs/truth.md")
    checks, kept = runner.key(), table.read(file.with_suffix(".csv"))
    others = kept[kept["checks"] != checks]["name"].nunique()
    if others:
        print(f"{others} networks were measured with other checks, and are measured again.")
    specimens = runner.missing(specimens[: options.limit], kept, checks)
    runner.run(
        specimens,
        runner.Options(
            options.folder,
            options.workers,
            options.device,
            options.on_device,
            options.captured,
            options.seconds,
            options.tuning,
        ),
    )
    digests = {one.digest for one in specimens}
    new = table.of_records(runner.records(options.folder, digests), checks)
    rows = table.merged(kept, new, checks)
    if options.timed:
        known = {one.name: one for one in plan.standard(real=True)}
        chosen = [known[name] for name in options.timed]
        rows = table.with_seconds(rows, timing.timed(chosen, options.folder))
    table.write(rows, file.with_suffix(".csv"))
    page.write(table.read(file.with_suffix(".csv")), file, quick=options.quick)
    print(f"written to {file}, and its figures to {file.with_suffix('.csv')}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make truth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean little")
    parser.add_argument("--tuning", action="store_true", help="networks on which choices are made")
    parser.add_argument("--folder", type=Path, default=_ROOT / "fillblanks-truth")
    parser.add_argument("--page", type=Path, help="default docs/truth.md; or one in the folder")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: where networks are trained")
    parser.add_argument("--on-device", type=int, default=1, help="workers that measure there too")
    parser.add_argument("--captured", type=int, default=0, help="of these: with CUDA graphs")
    parser.add_argument("--seconds", type=float, help="after which nothing new is begun")
    parser.add_argument("--limit", type=int, help="only the first networks of the plan")
    parser.add_argument("--timed", nargs="+", help="names of networks whose CPU seconds are taken")
    return parser.parse_args()


if __name__ == "__main__":
    main()
