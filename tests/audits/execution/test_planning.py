"""A session finds its plan once, makes it smaller if memory is short, and reports it."""

import json
from pathlib import Path

import mlflow
import planned_nets
import pytest
import torch
from executors import Each
from sessions import open_session

from audits import AuditError, parse_config, run_audit
from audits.data import sources
from audits.data.sources import Digits
from audits.execution.tuning import Planned
from audits.workflows.preview import preview
from fillblanks import Plan, default_plan

SHRUNK = "Memory was too short for 16 images in a pass; the audit went on with 8."
PERFORMANCE, FILL = {"kind": "performance"}, {"kind": "random_fill"}
FEW = {**FILL, "images": 20, "samples": 8}
MANY = {**FILL, "samples": 90}  # on 450 images, just enough passes to be tuned


def _notes(session):
    """The notes of a session but those on the cell and on MLflow's own server."""
    usual = ("Its process had", "MLflow's own server")
    return tuple(note for note in session.notes if not any(word in note for word in usual))


def _files(folder):
    """The time at which each file of a store was written, by name."""
    return {file.name: file.stat().st_mtime_ns for file in Path(folder).rglob("*.npz")}


def _plan_files(folder):
    return {name: time for name, time in _files(folder).items() if name.startswith("plan-")}


def _fitted(net):
    """The network with weights that recognise digits, by least squares."""
    digits = sources.load(Digits(split="train"))
    pixels = ((digits.tensor(range(len(digits))).double() - 0.3) / 0.35).flatten(1)
    pixels = torch.cat([pixels, torch.ones(len(pixels), 1)], dim=1)
    wanted = torch.eye(10).double()[digits.labels]
    weights = torch.linalg.solve(pixels.T @ pixels + 30 * torch.eye(785), pixels.T @ wanted)
    with torch.no_grad():
        net.head.weight.copy_(10 * weights[:-1].T)
        net.head.bias.copy_(10 * weights[-1])
    return net


def _with(config, **values):
    return parse_config({**config.model_dump(mode="json"), **values})


def _measure(session, name):
    check = session.check(name)
    for unit in session.units(check):
        session.measure(check, unit)


@pytest.mark.slow
def test_a_short_audit_takes_the_default_and_what_is_fixed(config_of):
    config = config_of(planned_nets.Linear(), [PERFORMANCE, FEW])
    with open_session(config) as session:
        assert session.plan == default_plan(1, 28, 28)
        assert _notes(session) == ()
    fixed = {"chunk": 16, "memory_format": "channels_last"}
    with open_session(_with(config, engine=fixed)) as session:
        assert (session.plan.chunk, session.plan.memory_format) == (16, "channels_last")
        assert session.engine["plans"] == [vars(session.plan)]
        assert session.engine["device"] == "cpu"
        assert _files(config.store) == {}
        assert session.cost().passes == 450 + 20 * (8 + 8)
        _measure(session, "performance")
        assert session.cost().passes == 20 * (8 + 8)
    with open_session(_with(config, engine=fixed)) as session:
        assert session.cost().passes == 20 * (8 + 8), "another session finds the part"
    with open_session(_with(config, engine={**fixed, "chunk": 8})) as session:
        assert session.cost().passes == 450 + 20 * (8 + 8), "another plan is another part"


@pytest.mark.soak
def test_a_long_audit_is_tuned_once(config_of):
    config = config_of(_fitted(planned_nets.Linear()), [PERFORMANCE, MANY], pickled=False)
    with open_session(config) as first:
        assert first.cost().passes == 450 + 450 * (90 + 64)
        _measure(first, "performance")
    written = _files(config.store)
    assert len(written) == 2
    assert len(_plan_files(config.store)) == 1
    assert _notes(first) == first.plans.notes
    assert _notes(first)[0].startswith(
        f"Averages of many draws were taken in {first.plan.precision} precision; in a trial, its "
        "prototypes overlapped with those of float64 by "
    )
    with open_session(config) as again:
        assert (again.plan, _notes(again), again.engine) == (
            first.plan,
            _notes(first),
            first.engine,
        )
        assert again.inputs.digest == first.inputs.digest
        assert again.cost().passes == 450 * (90 + 64)
        _measure(again, "performance")
    assert _files(config.store) == written

    fixed = {"precision": "float64", "chunk": 32, "fused": False}
    with open_session(_with(config, engine=fixed)) as other:
        assert {name: getattr(other.plan, name) for name in fixed} == fixed
        assert "float64 precision" in _notes(other)[0]
        assert other.inputs.digest != first.inputs.digest
        assert other.cost().passes == 450 + 450 * (90 + 64)
    assert len(_plan_files(config.store)) == 2


@pytest.mark.slow
def test_a_model_that_cannot_be_tuned_is_audited_all_the_same(config_of):
    few = {**FEW, "label": "few"}
    config = config_of(_fitted(planned_nets.Dying()), [MANY, few])
    with open_session(config) as session:
        assert session.plan == default_plan(1, 28, 28)
        (note,) = _notes(session)
        assert "Tuning failed: the process that held the model died (exit code 3" in note
        _measure(session, "few")


@pytest.mark.slow
def test_a_precision_that_was_reduced_by_hand_is_compared_in_a_short_audit_too(config_of):
    config = config_of(_fitted(planned_nets.Linear()), [FEW], engine={"precision": "bfloat16"})
    with open_session(config) as session:
        assert session.plan.precision == "bfloat16"
        (note,) = _notes(session)
    assert note.startswith("Averages of many draws were taken in bfloat16 precision; in a trial, ")


def test_reduced_precision_that_does_not_keep_the_answer_is_told():
    note = Planned(vars(Plan(4, precision="mixed")), overlap=0.5, refused=()).note
    assert note.endswith(
        "by 0.500 or more, less than the 0.98 that is expected where none is fixed."
    )


def test_a_captured_plan_without_a_gpu_is_refused_in_one_line(config_of):
    config = config_of(planned_nets.Linear(), [FEW], engine={"captured": True})
    with pytest.raises(
        AuditError, match=r"^Expected a GPU for engine.captured, found none\. Leave"
    ):
        preview(config)


BRIGHT = {**MANY, "label": "bright", "mask_ratio": 0.6, "blank_value": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checks", "precision"),
    [([MANY], "bfloat16"), ([MANY, BRIGHT], "full"), ([BRIGHT, MANY], "full")],
    ids=["one", "two", "turned"],
)
def test_the_most_exact_precision_of_all_checks_is_taken(checks, precision, config_of):
    fixed = {"chunk": 256, "memory_format": "contiguous"}
    config = config_of(_fitted(planned_nets.Hasty()), checks, engine=fixed)
    with open_session(config) as session:
        assert session.plan.precision == precision
        (note,) = _notes(session)
    assert f"taken in {precision} precision" in note
    assert ("bright does not keep bfloat16: its prototypes overlap" in note) == (len(checks) > 1)
    assert "random_fill does not keep" not in note


def _evidence_json(result, folder):
    client = mlflow.MlflowClient()
    return Path(client.download_artifacts(result.run_id, "evidence.json", str(folder))).read_bytes()


@pytest.mark.slow
def test_an_audit_that_runs_out_of_memory_goes_on_with_half_the_chunk(config_of, tmp_path):
    checks = [PERFORMANCE, FEW, {"kind": "progressive_fill", "images": 20}]
    config = config_of(_fitted(planned_nets.Narrow(rows=8)), checks, engine={"chunk": 16})
    result = run_audit(config)
    assert [e.status for e in result.evidence] == ["ok"] * 3
    written = _files(config.store)
    assert len(written) == 7  # a plan, three parts, three conclusions
    assert len(_plan_files(config.store)) == 1
    evidence = _evidence_json(result, tmp_path)
    told = json.loads(evidence)
    assert [plan["chunk"] for plan in told["setting"]["plans"]] == [16, 8]
    assert told["setting"]["plans"][0]["block"] == 2 * told["setting"]["plans"][1]["block"]
    known = ("The model may run any code", "No input_doctor", "No check moves", "MLflow's own")
    assert [note for note in told["notes"] if not note.startswith(known)] == [SHRUNK]

    assert _evidence_json(run_audit(config), tmp_path) == evidence
    assert _files(config.store) == written, "something was measured again"
    with open_session(config) as session:
        assert [plan.chunk for plan in session.plans.all] == [16, 8]
        assert (session.plan.chunk, _notes(session)) == (8, (SHRUNK,))
        assert session.cost().passes == 0
    lines = preview(config).splitlines()
    assert f"note    {SHRUNK}" in lines
    assert lines[-1].startswith("left    0 passes, about 0 s, ")


@pytest.mark.slow
def test_an_audit_killed_while_it_made_its_plan_smaller_goes_on(config_of):
    config = config_of(planned_nets.Narrow(rows=4), [FEW], engine={"chunk": 16})
    with open_session(config) as session:
        session.plans.shrink(session.plan.halved())
    told = preview(config)
    assert "plan    full, contiguous; 4 images in a pass" in told
    assert f"note    {SHRUNK}" in told
    with open_session(config) as session:
        _measure(session, "random_fill")
        assert [plan.chunk for plan in session.plans.all] == [16, 8, 4]


def test_a_model_is_opened_with_the_chunk_that_is_fixed(config_of):
    config = config_of(planned_nets.Narrower(rows=16), [FEW], engine={"chunk": 16})
    with open_session(config) as session:
        _measure(session, "random_fill")
        assert _notes(session) == ()


def test_a_model_is_opened_with_as_many_images_as_memory_has_room_for(config_of):
    config = config_of(planned_nets.Narrower(rows=100), [FEW])
    with open_session(config) as session:
        assert session.plan.chunk == 256


def test_a_chunk_that_is_too_large_is_halved_while_tuning(config_of):
    fixed = {"chunk": 16, "precision": "full", "fused": False}
    config = config_of(_fitted(planned_nets.Narrow(rows=8)), [MANY], engine=fixed)
    with open_session(config) as session:
        assert session.plan.chunk == 8
        assert "Memory was too short for 16 images in a pass." in _notes(session)[0]


@pytest.mark.soak
def test_memory_that_is_really_limited_makes_the_chunk_smaller(config_of):
    net, engine, limits = planned_nets.Wide(), {"chunk": 1024}, {"memory_gib": 2.0}
    config = config_of(net, [FEW], pickled=False, engine=engine, limits=limits)
    with open_session(config) as session:
        _measure(session, "random_fill")
        chunks = [plan.chunk for plan in session.plans.all]
        assert 64 < chunks[-1] < 1024
        assert chunks == [1024 >> i for i in range(len(chunks))]
        assert len(_notes(session)) == len(chunks) - 1
        assert session.conclude(session.check("random_fill")).status == "ok"


TOO_LITTLE = (
    "Expected memory for a pass over chunk x channels x height x width "
    "= 1 x 1 x 28 x 28 = 784 values, there was too little. Take smaller images or a smaller "
    "network, or give it more memory."
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "limits", "message"),
    [
        (planned_nets.Narrow(rows=0), {}, TOO_LITTLE),
        (
            planned_nets.Greedy(mib=6000),
            {"memory_gib": 4.0},
            f"{TOO_LITTLE} limits.memory_gib = 4.",
        ),
    ],
    ids=["no limit", "limit"],
)
def test_where_not_one_pass_fits_the_evidence_is_a_line_that_says_what_to_turn_down(
    net, limits, message, config_of
):
    config = config_of(net, [PERFORMANCE, FEW], engine={"chunk": 1, "block": 1}, limits=limits)
    units = []

    def measure(session, check, unit):
        units.append(unit)
        session.measure(check, unit)

    result = run_audit(config, executor=Each(measure))
    assert [e.status for e in result.evidence] == ["ok", "error"]
    assert len(units) == 2
    assert result.evidence[1].reason == f"{units[1]}: {message}"
    assert result.verdict.word == "undecided"
    assert _plan_files(config.store) == {}
