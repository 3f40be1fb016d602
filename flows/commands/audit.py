"""fillblanks audit: one model, now."""

import argparse

from flows.commands.common import EXIT, add_model, where


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "audit",
        help="audit one model and record evidence and verdict in MLflow",
        description="Exit code: 0 passed, 1 failed, 2 undecided or could not run.",
    )
    add_model(parser)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and how many passes"
    )
    parser.set_defaults(command=run, runs_flows=True)


def run(options: argparse.Namespace) -> int:
    from audits import read_config
    from audits.data import sources
    from audits.models import registry
    from audits.workflows.preview import preview
    from flows.console import show_progress

    config = read_config(options.config, model=options.model)
    if options.dry_run:
        print(preview(config))
        return 0
    # Said here in one line, before Prefect can say it in many.
    registry.resolve(config.model)
    sources.load(config.data)
    from flows.audit import audited

    progress = show_progress()
    result = audited(config)
    progress.done()
    print(f"{result.model}: {result.verdict.word}. {result.verdict.reason}")
    if result.verdict.word != "undecided":
        for judgement in result.verdict.judgements:
            print(f"  {judgement}")
    for evidence in result.evidence:
        if evidence.status == "not_applicable":
            print(f"  {evidence.check} does not apply: {evidence.reason}")
    print(f"Run {result.run_id} in {where(result.page)}")
    return EXIT[result.verdict.word]
