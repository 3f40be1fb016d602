"""If torch lacks a private name, only plans that need the name are refused."""

import re

import pytest
import torch

from fillblanks import Classifier, Plan, expected_fill, progressive_fill, tune
from fillblanks.engine import aten

OPTIONS = {"samples": 8, "patch_size": 3}
NEEDING = [{"fused": True}, {"precision": "mixed"}]
AS_THEY_ARE = [
    Plan(8),
    Plan(8, memory_format="channels_last"),
    Plan(8, precision="bfloat16"),
    Plan(8, precision="float64"),
]
GONE = "ops.aten.taken_away.default"
MESSAGE = re.compile(
    rf"^Expected torch to have torch\.{re.escape(GONE)}, got torch {re.escape(torch.__version__)} "
    r'without\. Take a plan that is not fused and whose precision is not "mixed"\.$'
)


@pytest.fixture(params=aten.PATHS)
def taken_away(request, monkeypatch) -> str:
    """A private name that torch seems to lack."""
    monkeypatch.setitem(aten.PATHS, request.param, GONE)
    return request.param


@pytest.fixture
def one_taken_away(monkeypatch) -> None:
    monkeypatch.setitem(aten.PATHS, "convolution_backward", GONE)


def test_this_release_of_torch_has_all_names():
    names = ", ".join(aten.missing())
    assert not names, (
        f"torch {torch.__version__} lacks {names}: no plan can be fused or mixed. Find the new "
        "names, put them into fillblanks/engine/aten.py and see that test_graph.py and "
        "test_mixed.py pass."
    )


def test_a_name_that_is_taken_away_is_named(taken_away):
    assert f"torch.{GONE}" in aten.missing()
    with pytest.raises(aten.NotRewritable, match=re.escape(GONE)):
        aten.operations()


def test_an_operation_that_does_not_say_whether_it_overwrites_is_named(monkeypatch):
    monkeypatch.setattr(aten, "_MUTABLE", "_schema.gone")
    assert aten.missing() == ["torch.ops.aten.relu_.default._schema.gone"]


def test_operations_say_whether_they_overwrite_their_input():
    found = aten.operations()
    assert found.overwrites(found.relu_in_place)
    assert found.overwrites(found.add_in_place)
    for target in (found.relu, found.conv, torch.relu, "relu_"):
        assert not found.overwrites(target)


@pytest.mark.parametrize("plan", AS_THEY_ARE, ids=str)
def test_without_a_name_a_network_that_runs_as_it_is_gives_the_same_bytes(
    same, trained, images, plan, request
):
    before = expected_fill(Classifier(trained), images, plan=plan, **OPTIONS)
    request.getfixturevalue("one_taken_away")
    same(expected_fill(Classifier(trained), images, plan=plan, **OPTIONS), before)


@pytest.mark.usefixtures("one_taken_away")
def test_without_a_name_tuning_tries_no_plan_that_needs_it(classifier, images):
    found = tune(classifier, images, fixed={"chunk": 24}, draws=32, patch_size=3)
    tried = [trial.plan for trial in found.trials]
    assert {plan.memory_format for plan in tried} == {"contiguous", "channels_last"}
    assert {plan.precision for plan in tried} == {"full", "bfloat16"}
    assert not any(plan.fused for plan in (*tried, found.plan))
    fill = expected_fill(classifier, images, plan=found.plan, **OPTIONS)
    assert fill.found.all()
    assert fill.plan == found.plan


@pytest.mark.usefixtures("one_taken_away")
@pytest.mark.parametrize("fixed", NEEDING, ids=str)
def test_without_a_name_a_plan_that_needs_it_is_refused_in_one_line(classifier, images, fixed):
    plan = Plan(8, **fixed)
    refused = [
        lambda: expected_fill(classifier, images, plan=plan, **OPTIONS),
        lambda: tune(classifier, images, fixed=fixed, draws=32, patch_size=3),
    ]
    if plan.fused:  # a progressive fill never runs in reduced precision
        refused.append(lambda: progressive_fill(classifier, images, plan=plan))
    for call in refused:
        with pytest.raises(aten.NotRewritable, match=MESSAGE):
            call()
