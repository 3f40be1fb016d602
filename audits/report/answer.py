"""The answer of an audit for people: its word, one plain sentence, and a row for each condition.

Description, run page, report.html, terminal and Prefect's artifacts all show this answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Figure, Metric, MetricUnit, named_figures
from audits.report.completed import note
from audits.report.numbers import interval, number
from audits.verdict.decide import Verdict
from audits.verdict.judgement import Judgement

_ORDER = {"failed": 0, "not_judged": 1, "waived": 2, "says_nothing": 3, "passed": 4}
_OPEN = {
    "interval": "too uncertain: {between}",
    "chance": "may be chance, as one of several conditions: {between}",
    "null": "no better than its null, so it does not count: {between}",
    "coverage": "too few images count: {between}",
}
_JOINED = {"failed": ", but ", "passed": ", and ", "undecided": "; not settled: "}


@dataclass(frozen=True)
class Row:
    """One condition: its plain name, the figures beside it, and its outcome."""

    judgement: Judgement
    metric: Metric | None  # None: the audit has no such metric
    figure: Figure = "value"  # of the metric, the one that is judged

    @property
    def title(self) -> str:
        """The plain name of the figure; its full name if the audit does not have it."""
        name = self.judgement.condition.judged_metric
        return title_of(self.metric, self.figure) if self.metric else name

    @property
    def outcome(self) -> str:
        """`failed`, `not_judged`, `waived`, `says_nothing` or `passed`."""
        return "waived" if self.judgement.waiver else self.judgement.outcome

    @property
    def told(self) -> str:
        """The outcome in words, with the last day of a waiver."""
        waiver = self.judgement.waiver
        outcome = self.judgement.outcome.replace("_", " ")
        return f"{outcome}, waived until {waiver.until}" if waiver else outcome

    @property
    def estimate(self) -> Estimate | None:
        """The judged figure; None if it was not measured or is not finite."""
        if self.metric is None:
            return None
        metric = self.metric
        figures = {"value": metric.estimate, "lift": metric.lift, "drop": metric.drop}
        found = figures.get(self.figure, self.null)
        return found if found is not None and found.finite else None

    @property
    def null(self) -> Estimate | None:
        """The figure of the null, if the metric has one."""
        null = self.metric.null if self.metric else None
        found = null.estimate if null else None
        return found if found is not None and found.finite else None

    @property
    def needs(self) -> str:
        """The bound in words: "at least 60 %"."""
        condition = self.judgement.condition
        word = "at most" if condition.from_above else "at least"
        return f"{word} {number(condition.bound, self._unit, self.figure)}"

    @property
    def measured(self) -> str:
        """The figure with its interval, or why there is none."""
        if self.estimate is None:
            return self.judgement.finding
        value = number(self.estimate.value, self._unit, self.figure)
        return f"{value} ({interval(self.estimate, self._unit, self.figure)})"

    @property
    def against(self) -> str:
        """The null with its name, or empty: "6 %, the same pixels shuffled".

        Without the name beside a lift, whose title has it.
        """
        if self.null is None or self.figure == "drop":
            return ""
        value = number(self.null.value, self._unit)
        return value if self.figure == "lift" else f"{value}, {self.null_title}"

    @property
    def null_title(self) -> str:
        """The name of the null, or empty."""
        return self.metric.null.title if self.metric and self.metric.null else ""

    @property
    def clause(self) -> str:
        """The row as a clause of a sentence about the model, with bound and null behind it."""
        if self.metric is None or self.estimate is None:
            # A finding may end as a sentence does, with the reason of a check that does not apply.
            return f"{self.title}: {self.judgement.finding.removesuffix('.')}"
        metric, unit = self.metric, self._unit
        value = number(metric.estimate.value, unit)
        if self.outcome == "failed" and metric.better == "higher":
            value = f"only {value}"
        said = metric.clause.format(value) if metric.clause else f"{metric.title}: {value}"
        beside = [f"needed: {self.needs}"]
        if self.figure in ("lift", "drop"):
            beside = [f"{self._signed(self.estimate.value)} than {self._other}", *beside]
        if why := self.why_open:
            beside.append(why)
        if self.figure in ("value", "drop") and self.null is not None:
            beside.append(f"{self.null_title}: {number(self.null.value, unit)}")
        return f"{said} ({'; '.join(beside)})"

    @property
    def why_open(self) -> str:
        """Why a measured figure is not judged, with its interval and n; empty for other rows."""
        if self.estimate is None or self.outcome != "not_judged":
            return ""
        # An audit that is read from MLflow does not say it.
        around = self.estimate.low <= self.judgement.condition.bound <= self.estimate.high
        why = _OPEN.get(self.judgement.open_by or ("interval" if around else ""))
        if why is None:
            return ""
        images = f"{self.estimate.n:,} image{'' if self.estimate.n == 1 else 's'}"
        return why.format(between=f"{self._between} in the 95 % interval of {images}")

    @property
    def _between(self) -> str:
        """The interval in words: "40 to 60 %", "1 point better to 6 points worse"."""
        assert self.estimate is not None
        if self.figure not in ("lift", "drop") or self.estimate.low >= 0:
            return interval(self.estimate, self._unit, self.figure)
        return f"{self._signed(self.estimate.low)} to {self._signed(self.estimate.high)}"

    def _signed(self, value: float) -> str:
        """A lift or drop as "3 points better" or "3 points worse"."""
        told = number(value, self._unit, self.figure)
        words = ("better", "worse") if self.figure == "lift" else ("worse", "better")
        return f"{told.removeprefix('-')} {words[told.startswith('-')]}"

    @property
    def _other(self) -> str:
        return self.null_title if self.figure == "lift" else "the baseline"

    @property
    def _unit(self) -> MetricUnit:
        return self.metric.unit if self.metric else "ratio"


@dataclass(frozen=True)
class Answer:
    """The answer of one audit."""

    word: str  # "failed", "passed", "passed, in part", "passed, 1 waived", "undecided"
    sentence: str
    rows: tuple[Row, ...]  # failed, not judged, waived, passed
    decider: str  # the condition that decided, in words, and the number of the others
    note: str = ""  # a further sentence, about fills that show nothing


def answer(verdict: Verdict, evidence: Sequence[Evidence]) -> Answer:
    """The answer that verdict and evidence give."""
    rows = sorted(
        (_row(judgement, evidence) for judgement in verdict.judgements),
        key=lambda row: _ORDER[row.outcome],
    )
    waived = sum(row.outcome == "waived" for row in rows)
    word = verdict.told + (f", {waived} waived" if waived and verdict.word == "passed" else "")
    sentence = _sentence(verdict, evidence, rows)
    return Answer(word, sentence, tuple(rows), _decider(verdict, rows), note(evidence))


def title_of(metric: Metric, figure: Figure) -> str:
    """The plain name of one figure of a metric."""
    if figure == "null" and metric.null is not None:
        return f"{metric.title}: {metric.null.title}"
    if figure == "lift" and metric.null is not None:
        return f"{metric.title}: better than {metric.null.title} by"
    if metric.is_coverage:
        return f"share of images that count: {metric.title}"
    return f"{metric.title}: worse than the baseline by" if figure == "drop" else metric.title


def _row(judgement: Judgement, evidence: Sequence[Evidence]) -> Row:
    check, name = judgement.condition.judged_metric.split("/")
    metrics = next((one.metrics for one in evidence if one.check == check), {})
    named = named_figures(metrics).get(name)
    return Row(judgement, metrics[named.metric], named.figure) if named else Row(judgement, None)


def _decider(verdict: Verdict, rows: Sequence[Row]) -> str:
    """The first of the conditions that decided; of those that all passed, the closest."""
    deciding = [row for row in rows if row.judgement in verdict.deciding]
    if not deciding:
        return verdict.reason
    first = deciding[0]
    if verdict.word == "passed":
        first = min(deciding, key=lambda row: row.judgement.margin)
    more = len(deciding) - 1
    told = f"{first.title}, needed {first.needs}, measured {first.measured}"
    if more:
        also = "condition holds" if more == 1 else "conditions hold"
        told += f"; {more} more {also if verdict.word == 'passed' else verdict.word}"
    return f"{told} ({first.judgement.condition})"


def _sentence(verdict: Verdict, evidence: Sequence[Evidence], rows: Sequence[Row]) -> str:
    """How often the model is right, and the condition that decided, in the words of its metrics.

    The reason of the verdict if no condition decided. Of several conditions the first about what
    the model has learnt is told.
    """
    deciding = [row for row in rows if row.judgement in verdict.deciding]
    learnt = [row for row in deciding if row.metric is not None and row.metric.about_learning]
    told = next(iter(learnt or deciding), None)
    if told is None:
        return verdict.reason
    lead = _lead(evidence, told)
    text = f"{lead}{_JOINED[verdict.word]}{told.clause}" if lead else told.clause
    text = f"{text[0].upper()}{text[1:]}."
    return " ".join(part for part in (text, _silence(rows), verdict.not_covered) if part)


def _silence(rows: Sequence[Row]) -> str:
    """A sentence that names the checks whose conditions say nothing; empty if there are none."""
    silent = [row for row in rows if row.outcome == "says_nothing"]
    if not silent:
        return ""
    checks = dict.fromkeys(row.judgement.condition.metric.split("/")[0] for row in silent)
    one = len(silent) == 1
    return (
        f"{len(silent)} condition{'' if one else 's'} on {' and '.join(checks)} "
        f"say{'s' if one else ''} nothing about this network, which is no better than the null "
        "there."
    )


def _lead(evidence: Sequence[Evidence], told: Row) -> str:
    """The clause of the first metric that says how often the model is right, if not told anyway."""
    for one in evidence:
        for metric in one.metrics.values():
            plain = metric.clause and metric.null is None and not metric.about_learning
            if plain and metric.estimate.finite and metric is not told.metric:
                return metric.clause.format(number(metric.estimate.value, metric.unit))
    return ""
