"""A condition among several fails only if chance does not explain the failure (Holm)."""

from datetime import date

import numpy as np
import pytest

from audits.config.policy import Condition, Policy
from audits.evidence.intervals import proportion
from audits.verdict.decide import decide

TODAY = date(2026, 1, 1)
GOOD = (0.95, 0.92, 0.97, 400)
MIN = Policy(conditions=(Condition(metric="fill/accuracy", min=0.9),))


def test_one_of_many_conditions_fails_only_if_chance_does_not_explain_it(evidence_of):
    names = [f"m{number}" for number in range(7)]
    policy = Policy(conditions=tuple(Condition(metric=f"fill/{name}", min=0.9) for name in names))
    figures = dict.fromkeys(names, GOOD)

    def decided(**changes):
        return decide(policy, [evidence_of(**{**figures, **changes})], TODAY)

    # Each fails alone: the intervals are below the bound, by little and by much.
    near, far = (0.86, 0.82, 0.895, 300), (0.7, 0.65, 0.75, 300)
    close_call = decided(m3=near)
    assert close_call.word == "undecided"
    assert close_call.judgements[3].outcome == "not_judged"
    assert "fails alone, but as one of 7 conditions" in close_call.reason
    assert decide(MIN, [evidence_of(accuracy=near)], TODAY).word == "failed"

    clear = decided(m3=far)
    assert clear.word == "failed"
    assert clear.reason.startswith("fill/m3 >= 0.9: failed")
    # After a clear failure, Holm judges the next condition as one of six.
    assert decided(m3=far, m5=far).reason.count("failed with") == 2
    both = decided(m3=far, m5=near)
    assert [j.outcome for j in both.judgements].count("failed") == 1


@pytest.mark.slow
def test_a_good_model_at_seven_bounds_is_rarely_failed(evidence_of):
    """The true values of seven figures are on the bound; each figure has 450 images."""
    names = [f"m{number}" for number in range(7)]
    conditions = tuple(Condition(metric=f"fill/{name}", min=0.8) for name in names)
    random, alone, together = np.random.default_rng(0), 0, 0
    for _ in range(300):
        shares = {n: proportion(random.random(450) < 0.8) for n in names}
        evidence = evidence_of(**{n: (e.value, e.low, e.high, e.n) for n, e in shares.items()})
        alone += any(estimate.high < 0.8 for estimate in shares.values())
        together += decide(Policy(conditions=conditions), [evidence], TODAY).word == "failed"
    assert alone > 35  # of 300 audits, about 17 %
    assert together < 20
