"""fillblanks convert: registers a model as a pt2, which runs no code of its own when loaded."""

import argparse

from flows.commands.common import add_command, add_model
from flows.terminal.interrupt import always_raise
from flows.terminal.output import say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `convert` and its options."""
    parser = add_command(
        commands,
        "convert",
        example="models:/digits/3 --data photos/",
        help="register a model as a pt2, as a new version",
        description="Opens a model, exports it with torch.export, compares the logits of both on "
        "real images, and registers the pt2 as a new version. Exit code: 0 registered, 2 if not.",
    )
    add_model(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--data",
        metavar="PATH",
        help="images to compare on: a folder, or .npz, .csv, .parquet; a path or a URI",
    )
    given.add_argument(
        "--config", metavar="FILE", help="an audit's YAML: its data and its preprocessing are taken"
    )
    parser.add_argument("--name", help="registered model of the new version (default: the same)")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Registers the pt2, prints its URI and returns 0. Raises AuditError if there is none."""
    from audits import parse_config, read_config
    from audits.workflows.convert import convert
    from audits.workflows.data_guess import guessed

    if options.config:
        config = read_config(options.config, model=options.model)
    else:
        checks = [{"kind": "performance"}]
        values = {"model": options.model, "data": guessed(options.data), "checks": checks}
        config = parse_config(values)
    always_raise()
    say(str(convert(config, options.name)))
    return 0
