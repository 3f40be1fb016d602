"""The line of a verdict says if nothing kept the model in while it was audited."""

from dataclasses import replace

from audits.verdict.decide import Verdict

WITHOUT = "The audit ran without isolation from the model."


def with_isolation(verdict: Verdict, isolation: str) -> Verdict:
    """The verdict, whose reason begins with `WITHOUT` if `isolation` is none.

    At the beginning, since a tag keeps only the first characters of a long reason.
    """
    if isolation != "none":
        return verdict
    return replace(verdict, reason=f"{WITHOUT} {verdict.reason}")
