"""How often intervals contain the truth, and how wide they are: python benchmarks/coverage.py."""

from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn.metrics import f1_score

from audits.evidence.bounds import holm, images_needed, tail_probability
from audits.evidence.estimate import Estimate
from audits.evidence.f1 import paired_f1_difference, scores
from audits.evidence.intervals import (
    bounded_mean,
    difference,
    mean,
    paired_difference,
    proportion,
    wilson,
)

_AUDITS = {2: 400, 5: 400, 10: 400, 30: 300, 100: 150, 450: 60}  # simulated, by images
_F1_AUDITS = 100
_Draw = Callable[[np.random.Generator, int], np.ndarray]
_FIGURES: dict[str, tuple[_Draw, float]] = {
    "hits, .9": (lambda random, n: (random.random(n) < 0.9) * 1.0, 0.9),
    "1, or uniform in 5 %": (
        lambda random, n: np.where(random.random(n) < 0.95, 1, random.random(n)),
        0.975,
    ),
    "beta(20, 1)": (lambda random, n: random.beta(20, 1, n), 20 / 21),
    "beta(8, 2)": (lambda random, n: random.beta(8, 2, n), 0.8),
    ".90 +- .01": (lambda random, n: random.normal(0.9, 0.01, n), 0.9),
}
_CLASSES = {
    "10 of 2": np.full(10, 2),
    "10 of 5": np.full(10, 5),
    "10 of 10": np.full(10, 10),
    "10 of 45": np.full(10, 45),
    "100 of 2": np.full(100, 2),
    "200 to 2": np.array([200, 100, 50, 20, 10, 5, 3, 2, 2, 2]),
}


def coverage() -> list[str]:
    """Markdown lines. A cell has the share of simulated audits whose interval contains the truth,
    and the mean width of the interval."""
    return [*_means(), "", *_lifts(), "", *_f1(), "", *_decisions()]


def _cell(estimates: list[Estimate], truth: float) -> str:
    held = np.mean([e.low - 1e-9 <= truth <= e.high + 1e-9 for e in estimates])
    return f"{held:.2f}, {np.mean([e.high - e.low for e in estimates]):.3f}"


def _bernstein(values: np.ndarray) -> Estimate:
    """The interval of Maurer and Pontil 2009, theorem 4, on both sides."""
    n, centre, log = len(values), float(values.mean()), np.log(4 / 0.05)
    reach = np.sqrt(2 * values.var(ddof=1) * log / n) + 7 * log / (3 * (n - 1))
    return Estimate(centre, max(centre - reach, 0), min(centre + reach, 1), n)


def _as_hits(values: np.ndarray) -> Estimate:
    """Wilson's interval, as if the values were hits of the same mean."""
    value = float(values.mean())
    return Estimate(value, *wilson(value, len(values)), len(values))


def _means() -> list[str]:
    methods = {
        "Student": mean,
        "Wilson": _as_hits,
        "empirical Bernstein": _bernstein,
        "Gaffke (taken)": bounded_mean,
    }
    lines = [f"| mean of a figure in [0, 1] | images | {' | '.join(methods)} |"]
    lines.append("|---" * (2 + len(methods)) + "|")
    for name, (draw, truth) in _FIGURES.items():
        random = np.random.default_rng(0)
        for n, audits in _AUDITS.items():
            samples = [np.clip(draw(random, n), 0, 1) for _ in range(audits)]
            cells = [_cell([method(x) for x in samples], truth) for method in methods.values()]
            lines.append(f"| {name} | {n} | {' | '.join(cells)} |")
    return lines


def _lifts() -> list[str]:
    lines = ["| lift: both right, fill only, null only, neither | images | unpaired | paired |"]
    lines.append("|---|---|---|---|")
    random = np.random.default_rng(0)
    for shares in ((0.6, 0.25, 0.05, 0.1), (0.9, 0.05, 0.02, 0.03), (0.05, 0.8, 0.05, 0.1)):
        for n in (10, 30, 100, 450):
            pairs = [
                (np.repeat([True, True, False, False], c), np.repeat([True, False, True, False], c))
                for c in random.multinomial(n, shares, size=400)
            ]
            apart = [difference(proportion(a), proportion(b)) for a, b in pairs]
            paired = [paired_difference(a, b) for a, b in pairs]
            truth = shares[1] - shares[2]
            lines.append(f"| {shares} | {n} | {_cell(apart, truth)} | {_cell(paired, truth)} |")
    return lines


def _population(images: np.ndarray, recall: float) -> float:
    """Macro F1 of equal recalls whose misses fall evenly on the other classes."""
    matrix = np.full((len(images), len(images)), (1 - recall) / (len(images) - 1))
    np.fill_diagonal(matrix, recall)
    matrix *= images[:, None]
    return float((2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1))).mean())


def _unstratified(truth: np.ndarray, predicted: np.ndarray, classes: int) -> Estimate:
    """The former interval: percentiles of resamples of all images, no narrower than accuracy's."""
    rows, counts = np.unique(np.stack([truth, predicted]), axis=1, return_counts=True)
    n = len(truth)
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=1000)
    is_true, is_predicted = (row[:, None] == np.arange(classes) for row in rows)
    total = drawn @ (is_true.astype(float) + is_predicted)
    hits = drawn @ (is_true & is_predicted).astype(float)
    f1 = np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0).mean(1)
    value = float(f1_score(truth, predicted, average="macro", zero_division=0))
    accuracy = proportion(truth == predicted)
    low, high = np.quantile(f1, [0.025, 0.975])
    low = min(float(low), value - accuracy.value + accuracy.low)
    high = max(float(high), value - accuracy.value + accuracy.high)
    return Estimate(value, max(low, 0), min(high, 1), n)


def _f1() -> list[str]:
    lines = [
        "| macro F1, images a class | recall, of a baseline | all images resampled "
        "| within classes (taken) | drop below a baseline |"
    ]
    lines.append("|---" * 5 + "|")
    for name, images in _CLASSES.items():
        truth, classes = np.repeat(np.arange(len(images)), images), len(images)
        for recall, other in ((0.6, 0.8), (0.9, 0.9), (0.98, 0.98)):
            random = np.random.default_rng(0)
            before, after, drops = [], [], []
            for _ in range(_F1_AUDITS):
                luck = random.random(len(truth))
                theirs = np.where(random.random(len(truth)) < 0.7, luck, random.random(len(truth)))
                wrong = (truth + random.integers(1, classes, len(truth))) % classes
                a, b = (np.where(u < r, truth, wrong) for u, r in ((luck, recall), (theirs, other)))
                before.append(_unstratified(truth, a, classes))
                after.append(scores(truth, a)["f1_macro"])
                drops.append(paired_f1_difference(truth, b, a, "macro"))
            real, drop = _population(images, recall), _population(images, other)
            lines.append(
                f"| {name} | {recall}, {other} | {_cell(before, real)} | {_cell(after, real)} "
                f"| {_cell(drops, drop - real)} |"
            )
    return lines


def _estimate(hits: int, n: int) -> Estimate:
    return Estimate(hits / n, *wilson(hits / n, n), n)


def _decisions() -> list[str]:
    lines = ["| shares of n images: | 30 | 100 | 450 |", "|---|---|---|---|"]
    ratios, unions, corrected = [], [], []
    for n in (30, 100, 450):
        found = []
        for hits in range(n + 1):
            for bound in np.linspace(0.05, 0.95, 37):
                score = stats.norm.sf(abs(hits / n - bound) / np.sqrt(bound * (1 - bound) / n))
                if 0.001 <= score <= 0.025:
                    found.append(tail_probability(_estimate(hits, n), bound) / score)
        ratios.append(f"{min(found):.2f} to {max(found):.2f}")
        figures = [_estimate(hits, n) for hits in range(n + 1)]
        tails = [tail_probability(e, 0.8) for e in figures]
        p = np.array([t if e.value < 0.8 else 1 - t for t, e in zip(tails, figures, strict=True)])
        fails = np.array([e.high < 0.8 for e in figures])
        drawn = np.random.default_rng(0).binomial(n, 0.8, (10_000, 7))
        unions.append(f"{fails[drawn].any(1).mean():.3f}")
        corrected.append(f"{np.mean([any(holm(row, 0.025)) for row in p[drawn]]):.3f}")
    lines.append(f"| tail probability over the score test's, .001 to .025 | {' | '.join(ratios)} |")
    lines.append(f"| one of seven conditions fails at its bound of .8 | {' | '.join(unions)} |")
    lines.append(f"| the same with Holm | {' | '.join(corrected)} |")
    z = np.random.default_rng(0).standard_normal((10_000, 7))
    normal = np.mean([any(holm(row, 0.025)) for row in stats.norm.cdf(z)])
    union = (z < stats.norm.ppf(0.025)).any(1).mean()
    lines += [
        "",
        f"Of exactly normal figures one of seven fails: {union:.3f}, with Holm {normal:.3f}.",
    ]
    lines += ["", "| so far, bound | images needed | settled as said | settled otherwise |"]
    lines.append("|---|---|---|---|")
    for hits, n, bound in ((60, 100, 0.65), (90, 100, 0.85), (90, 100, 0.93), (98, 100, 0.99)):
        needed = images_needed(_estimate(hits, n), bound)
        assert needed is not None
        drawn = np.random.default_rng(0).binomial(needed.images, hits / n, 10_000)
        low, high = np.array([wilson(k / needed.images, needed.images) for k in drawn]).T
        sides = ((low > bound).mean(), (high < bound).mean())
        as_said, otherwise = sides if needed.above else sides[::-1]
        lines.append(
            f"| {hits} of {n}, {bound} | {needed.images} | {as_said:.2f} | {otherwise:.3f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(coverage()))
