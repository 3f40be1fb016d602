"""fillblanks policy: a policy to start from."""

import argparse


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "policy",
        help="print a policy, written from the audit of an accepted version",
        description="The margins come from the intervals of that audit. Read it, then keep it with "
        "your code.",
    )
    parser.add_argument(
        "--from", dest="accepted", required=True, metavar="MODEL", help="models:/name@alias, ..."
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    from audits import AuditError
    from audits.models import registry
    from audits.tracking import reader
    from audits.verdict.suggest import policy_from

    found = reader.standing(registry.resolve(options.accepted))
    if found is None:
        raise AuditError(
            f"Expected an audit of {options.accepted} to start from, found none that can be "
            "verified. Run `fillblanks audit` on it first."
        )
    model, images = found.content["model"], found.content["data"]
    heading = (
        f"From the audit of {model['uri']} (verdict {found.word}, run {found.run_id})",
        f"on {images['name']}, {images['images']} images. Behind each bound: what it showed.",
    )
    print(policy_from(found.word, found.evidence, heading), end="")
    return 0
