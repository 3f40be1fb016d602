"""fillblanks demo: the whole story on two versions that are trained for it."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="train two versions of a model and audit both")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where everything goes; delete it when done"
    )
    parser.add_argument("--seed", type=int, default=0, help="of training (default: %(default)s)")
    parser.set_defaults(command=run, runs_flows=True)


def run(options: argparse.Namespace) -> int:
    from flows.demo.story import demo

    demo(options.folder, options.seed)
    return 0
