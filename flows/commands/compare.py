"""fillblanks compare: prints two audits side by side."""

import argparse

from flows.commands.common import add_command, add_experiment
from flows.terminal.output import show, table
from flows.terminal.text import clean

_ONE_LINE = 30  # characters, which leave room for three figures in 80 columns


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `compare` and its options."""
    parser = add_command(
        commands,
        "compare",
        help="print the figures of two audits side by side",
        example="models:/digits/1 models:/digits/2",
    )
    for name in ("a", "b"):
        parser.add_argument(name, help="models:/..., for its standing audit, or a run id")
    add_experiment(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints the figures of two audits and their differences; returns 0.

    Raises AuditError if an audit is not found or cannot be verified.
    """
    from rich.text import Text

    from audits.workflows.compare import audit_of, compare
    from flows.terminal.verdict import word

    audits = {name: audit_of(getattr(options, name), options.experiment) for name in ("a", "b")}
    for name, audit in audits.items():
        uri = clean(audit.content.model.uri)
        show(Text.assemble(f"{name}: {uri}, ", word(audit.told), f", run {audit.run_id}"))
    found = compare(audits["a"], audits["b"])
    rows: list[list[Text]] = []
    before = ""
    for metric, *figures in found.itertuples(index=False):
        check, _, name = str(metric).partition("/")
        if check != before:
            rows.append([Text(f"{clean(check, _ONE_LINE)}/", style="bold"), Text(), Text(), Text()])
            before = check
        # The interval stands below the value; brackets would make it too wide.
        values = (Text(clean(figure).replace(" [", "\n").rstrip("]")) for figure in figures)
        rows.append([Text(clean(name, _ONE_LINE)), *values])
    show(table([str(heading) for heading in found.columns], rows, whole=["metric"]))
    return 0
