"""The command line. It imports torch, MLflow and Prefect only where a command needs them."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from flows.environment import quieten

EXIT = {"passed": 0, "failed": 1, "undecided": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 passed, 1 failed, 2 undecided or bad input."""
    options = _parser().parse_args(arguments)
    # All that the demo writes goes to the one folder, Prefect's files included.
    folder: Path | None = getattr(options, "folder", None)
    quieten(prefect_home=folder / "prefect" if folder else None)
    try:
        import audits
    except ImportError as error:
        print(
            f"fillblanks needs {error.name} here: pip install 'fillblanks[audit]'", file=sys.stderr
        )
        return EXIT["undecided"]
    try:
        result: int = options.command(options)
    except audits.AuditError as error:
        print(error, file=sys.stderr)
        return EXIT["undecided"]
    except Exception:
        # Python's own exit code would be 1, which means that the model failed.
        traceback.print_exc()
        return EXIT["undecided"]
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fillblanks",
        description="Audits image classifiers in an MLflow registry by asking them to fill in the "
        "blanks. The registry is the one that MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    audit = commands.add_parser(
        "audit",
        help="audit one model and record evidence and verdict in MLflow",
        description="Exit code: 0 passed, 1 failed, 2 undecided or could not run.",
    )
    audit.add_argument(
        "model", help="models:/name/3, models:/name@alias, models:/name/latest, models:/m-<id>"
    )
    audit.add_argument("--config", required=True, metavar="FILE", help="YAML, see schema")
    audit.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and how many passes"
    )
    audit.set_defaults(command=_audit)

    schema = commands.add_parser("schema", help="print the JSON schema of the config")
    schema.set_defaults(command=_schema)

    demo = commands.add_parser("demo", help="train two versions of a model and audit both")
    demo.add_argument(
        "--folder", type=Path, required=True, help="where everything goes; delete it when done"
    )
    demo.add_argument("--seed", type=int, default=0, help="of training (default: %(default)s)")
    demo.set_defaults(command=_demo)
    return parser


def _audit(options: argparse.Namespace) -> int:
    from audits import data, read_config, registry
    from audits.preview import preview
    from flows.console import show_progress

    config = read_config(options.config, model=options.model)
    if options.dry_run:
        print(preview(config))
        return 0
    # Said here in one line, before Prefect can say it in many.
    registry.resolve(config.model)
    data.load(config.data)
    from flows.audit import audit

    progress = show_progress()
    result = audit(config.model, config.model_dump(mode="json"))
    progress.done()
    print(f"{result.model}: {result.verdict.word}. {result.verdict.reason}")
    if result.verdict.word != "undecided":
        for judgement in result.verdict.judgements:
            print(f"  {judgement}")
    for evidence in result.evidence:
        if evidence.status == "not_applicable":
            print(f"  {evidence.check} does not apply: {evidence.reason}")
    print(f"Run {result.run_id} in {_where(result.page)}")
    return EXIT[result.verdict.word]


def _where(page: str) -> str:
    import mlflow

    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/{page}"
    mlflow_command = Path(sys.executable).parent / "mlflow"
    return f"{uri}, page {page} of: {mlflow_command} ui --backend-store-uri {uri}"


def _schema(_: argparse.Namespace) -> int:
    import json

    from audits import AuditConfig

    print(json.dumps(AuditConfig.model_json_schema(), indent=2))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from flows.demo.story import demo

    demo(options.folder, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
