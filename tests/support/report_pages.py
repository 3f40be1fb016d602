"""The pages of the report that tests open in a browser: of few or many classes, of two models."""

from datetime import date
from functools import partial

import completions
import reports

from audits.config.policy import Condition, Policy
from audits.report.answer import answer
from audits.report.audited import OtherPage
from audits.report.html import report
from audits.report.index import Indexed, Past, index
from audits.verdict.decide import decide

# As many as the default policy of a gate has; most are compared with the baseline.
THIRTEEN = Policy(
    conditions=(
        *reports.POLICY.conditions,
        *(
            Condition(metric=f"{check}/{metric}", max_drop=bound)
            for check, metric in (
                ("random_fill", "prototype_accuracy"),
                ("random_fill", "composite_accuracy"),
                ("performance", "accuracy"),
            )
            for bound in (0.01, 0.05, 0.2)
        ),
    )
)


def _page(evidence, classes=reports.DIGITS, policy=reports.POLICY, **fields) -> str:
    verdict = decide(policy, evidence, date(2026, 11, 26))
    return report(reports.audited(classes, **fields), verdict, evidence)


def _evidence(classes, right=0.4):
    return [
        reports.performed(classes),
        reports.drawn(classes, right),
        reports.filled(classes),
    ]


_SIXTY = tuple(f"species {n} of a long list of birds" for n in range(60))


def _index() -> str:
    models = []
    for name, shares in (("digits", (0.2, 0.9)), ("signs", (0.8, 0.7, 0.3))):
        versions, given = [], []
        for number, share in enumerate(shares, 1):
            given = _evidence(reports.DIGITS, share)
            verdict = decide(reports.POLICY, given, date(2026, 11, 26))
            versions.append(Past(str(number), verdict.word, given))
        picture = given[0].examples[0].image
        models.append(
            Indexed(name, answer(verdict, given), versions, 3, ["1"], reports.inline(picture))
        )
    return index(models, ["bare", "<b>evil</b>"], "sqlite:///mlflow.db", "2026-11-26")


def _of_two(name: str) -> str:
    """One of two pages, whose other page has a file of the other name."""
    other = "baseline" if name == "candidate" else "candidate"
    url = f"http://mlflow.example/#/runs/{other}.html"
    page = OtherPage(other, "digits v1", "passed", "passed, 1 waived", f"{other}.html", url)
    return _page(_evidence(reports.DIGITS), baseline=name == "candidate", other=page)


PAGES = {
    "failed": lambda: _page(_evidence(reports.DIGITS)),
    "many_conditions": lambda: _page(
        _evidence(reports.LONG), reports.LONG, THIRTEEN, baseline=True
    ),
    "passed": lambda: _page(_evidence(reports.DIGITS, 0.95)),
    "ablation": lambda: _page(
        [*_evidence(reports.DIGITS), reports.ablated(), reports.broken()], baseline=True
    ),
    "many_classes": lambda: _page(
        _evidence(reports.LONG), reports.LONG, title="a-long-name-" * 900 + " v12"
    ),
    "photographs": lambda: _page(
        [
            reports.performed(completions.CLASSES),
            completions.with_lift(reports.filled(completions.CLASSES), -0.1),
            completions.completion(8),
        ],
        completions.CLASSES,
    ),
    "sixty_classes": lambda: _page([reports.performed(_SIXTY), reports.drawn(_SIXTY)], _SIXTY),
    "black_box": lambda: _page([reports.performed(reports.DIGITS), reports.broken()]),
    "index": _index,
    **{name: partial(_of_two, name) for name in ("candidate", "baseline")},
}
