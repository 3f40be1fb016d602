"""fillblanks serve: serves sweep and audit as Prefect deployments."""

import argparse

from flows.commands.common import add_command, add_wanted, wanted


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command `serve` and its options."""
    parser = add_command(
        commands,
        "serve",
        example='--config audit.yaml --cron "0 3 * * *"',
        help="serve sweep (scheduled) and audit (on demand) as Prefect deployments",
        description="Runs until it is stopped. Needs a Prefect server (PREFECT_API_URL).",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    parser.add_argument("--cron", required=True, help='when to sweep, in UTC: "0 3 * * *"')
    add_wanted(parser)
    parser.set_defaults(command=run, runs_flows=True)


def run(options: argparse.Namespace) -> int:
    """Serves the deployments until it is stopped; then returns 0.

    Raises AuditError if the config is bad, no version is found, or no Prefect server answers.
    """
    from audits.config.reading import read_mapping
    from audits.workflows.possible import expect_place
    from audits.workflows.sweep import sweep_config, versions
    from flows.serve import expect_schedule, serve

    expect_schedule(options.cron)
    which, values = wanted(options), read_mapping(options.config)
    # before anything is served
    expect_place(sweep_config(values, versions(which), origin=options.config))
    serve(values, which, options.cron)
    return 0
