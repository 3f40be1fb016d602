"""fillblanks sweep: audit every version that is due."""

import argparse

from flows.commands.common import EXIT, add_wanted, wanted


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "sweep",
        help="audit every version of the registry that is due",
        description="Due is a version without a verified audit of today's digest. Exit code: 0 all "
        "passed, 1 any failed, 2 any undecided or broken off.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    add_wanted(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which versions are due and why")
    parser.set_defaults(command=run, runs_flows=True)


def run(options: argparse.Namespace) -> int:
    from audits.config import read_mapping
    from audits.sweep import look, sweep_config, versions
    from flows.console import show_progress

    which, values = wanted(options), read_mapping(options.config)
    uris = versions(which)
    config = sweep_config(values, uris, origin=options.config)
    if options.dry_run:
        for uri in uris:
            seen = look(config, uri)
            print(f"{uri}: {'due' if seen.due else 'not due'}, {seen.why}")
        return 0
    from flows.sweep import swept

    progress = show_progress()
    summary = swept(values, which)
    progress.done()
    for row in summary.rows:
        print(f"{row.model}: {row.done}, {row.verdict}. {row.why}")
    print(summary)
    return EXIT[summary.word]
