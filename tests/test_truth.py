"""The zoo of planted marks: its plan, what its runner keeps, and the page from its table."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


@pytest.fixture
def small_data(monkeypatch):
    """Ten classes of 28 x 28 pixels that differ in brightness, 400 images in place of MNIST."""
    from truth import data

    drawn = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    images = torch.rand(400, 1, 28, 28, generator=drawn) * 0.1 + labels.view(-1, 1, 1, 1) / 12
    monkeypatch.setattr(data, "_all", lambda dataset, train: (images, labels))
    parts = ((0, 200), (200, 400))
    monkeypatch.setitem(data.SOURCES, "MNIST", data.Source((0.5,), (0.3,), *parts, *parts))
    return images, labels


def _record(specimen, rows, turned=None):
    from dataclasses import asdict

    rows = [row._asdict() for row in rows]
    told = {"specimen": asdict(specimen), "rows": rows, "device": "cpu", "accuracy": 0.9}
    return told | {"turned": turned}


def _row(check, score, accused, **more):
    from truth.row import Row

    return Row(check, score, accused, more.get("right"), None, 1.5, None, more.get("detail", ""))


def _table(*records):
    from truth import table

    return table.of_records(records, "abc")


def test_seeds_and_networks_of_the_plans_are_disjoint():
    from truth import data, plan

    fresh, tuning = plan.standard(real=True), [*plan.tuning(real=True), *plan.quick()]
    assert len({one.digest for one in fresh}) == len(fresh)
    assert all(one.is_fresh for one in fresh)
    assert not any(one.is_fresh for one in tuning)
    seeds = [one.seed for one in fresh]
    assert len(set(seeds)) == len(seeds)
    assert not {one.seed for one in tuning} & set(seeds)
    champions = {one.champion.seed for one in (*fresh, *tuning)}
    assert not champions & {one.seed for one in (*fresh, *tuning)}
    for name in ("MNIST", "FashionMNIST"):
        source = data.SOURCES[name]
        assert source.tuning[1] <= source.fresh[0]
        assert source.tuning_audit[1] <= source.fresh_audit[0]


def test_any_beginning_of_the_plan_has_its_share_of_each_kind():
    from truth import plan

    whole = [one.kind for one in plan.standard(real=False)]
    assert whole.count("none") >= 60
    assert sum(one.is_marked for one in plan.standard(real=False)) >= 100
    for n in range(20, len(whole), 10):
        for kind in set(whole):
            share = whole.count(kind) * n / len(whole)
            assert abs(whole[:n].count(kind) - share) <= 2 + 0.2 * share


def test_the_half_that_is_measured_in_full_has_each_data_set_and_is_about_half():
    from truth import plan

    clean = [one for one in plan.standard(real=False) if one.kind == "none"]
    half = [one for one in clean if one.in_half]
    assert len(half) == pytest.approx(len(clean) / 2, abs=4)
    counts = [sum(one.dataset == name for one in half) for name in {one.dataset for one in clean}]
    assert max(counts) - min(counts) <= 2


def test_a_mark_is_learnt_if_it_turns_half_of_other_images():
    from truth.zoo import Specimen

    planted = Specimen("MNIST", "CNN", "fixed", 1)
    assert planted.has_learnt(0.5)
    assert not planted.has_learnt(0.499)
    assert not Specimen("MNIST", "CNN", "none", 1).has_learnt(1.0)


def test_nobody_audits_images_with_a_trigger(small_data):
    from truth.zoo import Specimen

    trigger, fixed = (
        Specimen("MNIST", "CNN", kind, 2, audited_images=200) for kind in ("trigger", "fixed")
    )
    assert torch.equal(trigger.audited(marked=True)[0], trigger.audited(marked=False)[0])
    (marked, labels), (clean, _) = (fixed.audited(marked=marked) for marked in (True, False))
    changed = (marked != clean).flatten(1).any(1)
    assert (labels[changed] == fixed.mark.label).all()
    assert changed.any()


def test_turned_is_the_share_of_other_images_that_the_mark_turns(small_data):
    from truth.zoo import Specimen

    from fillblanks import Classifier

    one = Specimen("MNIST", "CNN", "fixed", 2, audited_images=100)

    class OfMark(torch.nn.Module):
        """Says the class of the mark if the mark is there, and the next class if not."""

        def forward(self, x):
            mark = one.mark
            end = mark.size
            seen = x[:, :, mark.row : mark.row + end, mark.column : mark.column + end]
            wanted = one.mark.opacity * mark.pattern
            is_there = (seen - wanted).abs().amax((1, 2, 3)) < 1e-4
            label = torch.where(is_there, mark.label, (mark.label + 1) % 10)
            return torch.nn.functional.one_hot(label, 10).float()

    if (one.mark.opacity < 1).any():
        pytest.fail("choose a seed whose mark is opaque")
    assert one.turned(Classifier(OfMark(), constant=True)) == 1.0


def test_the_runner_keeps_weights_and_rows_and_measures_nothing_twice(small_data, tmp_path):
    from truth import runner, table
    from truth.zoo import Specimen

    options = runner.Options(tmp_path)
    sizes = {"images": 128, "epochs": 1, "audited_images": 60}
    fault = Specimen("MNIST", "CNN", "label noise", 5, **sizes)
    mark = Specimen("MNIST", "CNN", "fixed", 5, **sizes)
    first = [runner.examined(one, options, runner.Place("cpu")) for one in (fault, mark)]
    assert [row["check"] for row in first[0]["rows"]] == [
        "performance",
        "calibration",
        "input_doctor",
    ]
    assert first[1]["turned"] < 0.5  # one epoch does not teach a mark
    assert first[1]["rows"] == []
    weights = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.pt")}
    again = [runner.examined(one, options, runner.Place("cpu")) for one in (fault, mark)]
    assert json.dumps(again) == json.dumps(first)
    assert weights == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.pt")}
    assert len(weights) == 3  # the champion's too

    kept = table.of_records(runner.records(tmp_path), runner.key())
    assert runner.missing([fault, mark], kept, runner.key()) == []
    assert runner.missing([fault, mark], kept, "other checks") == [fault, mark]
    third = Specimen("MNIST", "CNN", "fixed", 6, **sizes)
    assert runner.missing([fault, third], kept, runner.key()) == [third]
    assert [one["name"] for one in runner.records(tmp_path, {mark.digest})] == [mark.name]


def test_the_seed_makes_the_network_whatever_was_drawn_before(small_data, tmp_path):
    from truth.zoo import Specimen

    one = Specimen("MNIST", "CNN", "tint", 3, images=128, epochs=1)
    torch.manual_seed(1)
    first = one.classifier(tmp_path / "a").net.state_dict()
    torch.manual_seed(2)
    second = one.classifier(tmp_path / "b").net.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_table_is_read_as_it_was_written(tmp_path):
    from truth import table
    from truth.zoo import Specimen

    clean = Specimen("MNIST", "CNN", "none", 1)
    rows = [_row("swap", 1 / 3, False, detail="low 0.123"), _row("planted_defect", -1.5, True)]
    unlearnt = _record(Specimen("MNIST", "CNN", "fixed", 1), [], turned=0.2)
    found = _table(_record(clean, rows), unlearnt)
    table.write(found, tmp_path / "a" / "truth.csv")
    read = table.read(tmp_path / "a" / "truth.csv")
    pd.testing.assert_frame_equal(read, found, atol=1e-6)
    assert read["low"].tolist()[:2] == [0.123, -1.5]
    assert read["learnt"].isna().tolist() == [True, True, False]
    assert table.read(tmp_path / "none.csv").empty
    table.write(read, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a" / "truth.csv").read_bytes()


def test_new_networks_join_the_table_and_those_of_other_checks_leave_it():
    from truth import table
    from truth.zoo import Specimen

    first, second = (Specimen("MNIST", "CNN", "none", seed) for seed in (1, 2))
    old = _table(_record(first, [_row("swap", 0.1, False)]))
    new = _table(
        _record(second, [_row("swap", 0.2, False)]), _record(first, [_row("swap", 0.3, False)])
    )
    assert table.merged(old, new, "abc")["score"].tolist() == [0.3, 0.2]
    assert table.merged(old, new.iloc[:1], "abc")["score"].tolist() == [0.1, 0.2]
    assert table.merged(old.assign(checks="other"), new.iloc[:1], "abc")["score"].tolist() == [0.2]
    timed = table.with_seconds(old, {(first.name, "swap"): 2.5, ("another", "swap"): 9.0})
    assert timed["cpu_seconds"].tolist() == [2.5]


def test_a_check_that_does_not_apply_is_neither_an_alarm_nor_a_clean_bill():
    from truth.page import rendered
    from truth.row import Row
    from truth.zoo import Specimen

    found = _table(
        _record(Specimen("MNIST", "CNN", "none", 1), [_row("swap", 0.0, False)]),
        _record(Specimen("MNIST", "CNN", "none", 2), [Row.inapplicable("swap", "no donors")]),
        _record(Specimen("MNIST", "CNN", "none", 3), [_row("swap", 0.4, True)]),
    )
    page = rendered(found)
    assert "| swap | 0.1 | 1 of 2 (" in page
    assert '1 networks have a check that is "not applicable"' in page
    assert "3 without a mark" in page


def test_the_page_leaves_out_marks_that_were_not_learnt():
    from truth.page import rendered
    from truth.zoo import Specimen

    def of(seed, score, turned, kind="fixed"):
        rows = [_row("swap", score, score > 0.1, right=True)]
        return _record(Specimen("MNIST", "CNN", kind, seed), rows, turned)

    found = _table(
        *(of(1, 0.9, 0.7), of(2, 0.05, 0.8), of(3, 0.0, 0.4)),
        *(of(4, 0.0, None, "none"), of(5, 0.3, None, "none")),
    )
    page = rendered(found, quick=True)
    assert "| swap | fixed | 2 / 2 | 0.75 (" in page
    assert "| fixed | 2 of 3 | MNIST 2 of 3 |" in page
    assert "| swap | 0.1 | 1 of 2 (" in page
    assert "quick size" in page
    assert "| networks without a mark | at least 60 | 2 | no |" in page


def test_goals_are_reached_by_the_value_alone_or_with_its_interval():
    from truth.goals import _least

    from audits.evidence.estimate import Estimate

    assert _least(Estimate(0.98, 0.97, 1.0, 9), 0.97) == "yes"
    assert _least(Estimate(0.98, 0.80, 1.0, 9), 0.97) == "the value, not its interval"
    assert _least(Estimate(0.96, 0.80, 1.0, 9), 0.97) == "no"
    assert _least(Estimate(np.nan, np.nan, np.nan, 0), 0.97) == "not measured"


def test_the_published_page_is_that_of_the_published_table():
    from truth import page, table

    found = table.read(_ROOT / "docs" / "truth.csv")
    assert len(found)
    assert (_ROOT / "docs" / "truth.md").read_text(encoding="utf-8") == page.rendered(found)
    text = (_ROOT / "docs" / "truth.csv").read_text(encoding="utf-8")
    assert os.sep + "tmp" not in text
    assert "home" not in text


def test_the_area_is_that_of_scikit_learn_and_its_interval_has_a_width():
    from truth.figures import auroc

    drawn = np.random.default_rng(0)
    planted, clean = drawn.normal(1, 1, 40), drawn.normal(0, 1, 30)
    found = auroc(planted, clean)
    scores, labels = np.concatenate([planted, clean]), np.repeat([1, 0], [40, 30])
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    some, others = drawn.choice(planted, (2000, 40, 1)), drawn.choice(clean, (2000, 1, 30))
    resampled = (some > others).mean((1, 2))  # no two of them are the same
    assert found.low == pytest.approx(np.quantile(resampled, 0.025), abs=0.03)
    assert found.high == pytest.approx(np.quantile(resampled, 0.975), abs=0.03)
    perfect = auroc(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0]))
    assert perfect.value == perfect.high == 1
    assert perfect.low < 0.5
    single = auroc(np.array([0.5]), np.array([0.0, 1.0]))
    assert (single.value, single.low, single.high) == (0.5, 0.0, 1.0)
    assert auroc(np.array([]), clean).n == 0
