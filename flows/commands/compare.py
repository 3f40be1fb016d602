"""fillblanks compare: prints two audits side by side."""

import argparse


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `compare` and its options."""
    parser = commands.add_parser("compare", help="print the figures of two audits side by side")
    for name in ("a", "b"):
        parser.add_argument(name, help="models:/..., for its standing audit, or a run id")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Prints the figures of two audits and their differences; returns 0.

    Raises AuditError if an audit is not found or cannot be verified.
    """
    from audits.workflows.compare import audit_of, compare

    audits = {name: audit_of(getattr(options, name)) for name in ("a", "b")}
    for name, audit in audits.items():
        print(f"{name}: {audit.content['model']['uri']}, {audit.told}, run {audit.run_id}")
    print(compare(audits["a"], audits["b"]).to_string(index=False))
    return 0
