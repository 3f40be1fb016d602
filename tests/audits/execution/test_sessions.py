"""One worker holds the model, then the baseline; a unit that fails is named and ends its check."""

import os

import planned_nets
import pytest
from bad_checks import FAULTS, Bad
from executors import Each, Threads
from nets import Crashing
from sessions import evaluated, open_session

from audits import run_audit
from audits.execution import child
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import WorkerFailure
from audits.models import registry

PERFORMANCE = {"kind": "performance"}
FEW = {"kind": "random_fill", "images": 2, "samples": 2, "max_draws": 4}
PAIR = {"checks": [PERFORMANCE], "policy": {}}


@pytest.fixture
def pair(config_of):
    """Makes a config of a model and a baseline, each from a network."""

    def make(net, baseline, pickled=True, **values):
        other = config_of(baseline, **PAIR, pickled=pickled)
        own = config_of(net, **PAIR, pickled=pickled, baseline=other.model, **values)
        trusted = own.trust_pickle_sha256 + other.trust_pickle_sha256
        return own.model_copy(update={"trust_pickle_sha256": trusted})

    return make


def _with_processes(config):
    """The result of an audit, and the ids of the processes that measured its two models."""
    seen = {}

    def measure(session, check, unit):
        session.measure(check, unit)
        seen[session.model.uri] = session._model._worker.call(
            os.getpid, seconds=60, cell=session.inputs.cell
        )

    result = run_audit(config, executor=Each(measure))
    assert len(seen) == 2
    return result, set(seen.values())


@pytest.mark.slow
def test_model_and_baseline_have_a_process_each(pair):
    config = pair(planned_nets.Linear(), planned_nets.Linear(), pickled=False)
    result, processes = _with_processes(config)
    assert len(processes) == 2
    assert result.baseline.inputs_digest != result.inputs_digest
    right = [one.evidence[0].estimates["accuracy"].value for one in (result, result.baseline)]
    assert right[0] != right[1], "the baseline is another network"
    assert "accuracy_drop" in result.evidence[0].estimates


@pytest.mark.slow
@pytest.mark.parametrize("crashing", ["model", "baseline"])
def test_a_crash_of_one_model_does_not_spoil_the_other(crashing, pair):
    nets = {"model": planned_nets.Linear(), "baseline": planned_nets.Linear(), crashing: Crashing()}
    result = run_audit(pair(nets["model"], nets["baseline"]))
    found = {"model": result.evidence[0], "baseline": result.baseline.evidence[0]}
    assert {name: e.status for name, e in found.items()} == {
        "model": "ok",
        "baseline": "ok",
        crashing: "error",
    }
    assert "died (exit code 3)" in found[crashing].reason


def test_a_model_that_was_closed_is_opened_again(config_of):
    config = config_of(planned_nets.Linear(), [PERFORMANCE, FEW])
    with open_session(config) as session:
        measured = [(check, session.units(check)[0]) for check in session.config.checks]
        session.measure(*measured[0])
        session._model._worker.call(child.close_model, seconds=60, cell=session.inputs.cell)
        session.measure(*measured[1])
        session._model._worker.stop()
        assert session.conclude(session.check("performance")).status == "ok"


@pytest.mark.slow
def test_two_audits_that_share_a_worker_take_turns(config_of):
    one = config_of(planned_nets.Linear(), [PERFORMANCE])
    other = config_of(planned_nets.Linear(), [PERFORMANCE])
    evidence = []
    with (
        open_session(one) as first,
        AuditInputs(other, registry.resolve(other.model), first.images) as inputs,
        Session(inputs, first._model._worker) as second,
    ):
        for session in (second, first):
            check = session.check("performance")
            session.measure(check, session.units(check)[0])
            evidence.append(session.conclude(check).estimates["accuracy"].value)
    assert evidence[0] != evidence[1]


def test_a_unit_that_fails_is_named_and_no_other_is_started(config_of):
    fill = {"kind": "progressive_fill", "images": 300}
    config = config_of(planned_nets.Broken(RuntimeError("It broke.")), [fill, PERFORMANCE])
    started = []

    def measure(session, check, unit):
        started.append(check.name)
        session.measure(check, unit)

    with open_session(config) as session:
        units = session.units(session.check("progressive_fill"))
        with pytest.raises(WorkerFailure, match="RuntimeError: It broke") as failure:
            session.measure(session.check("progressive_fill"), units[1])
    assert failure.value.reason.startswith(f"{units[1]}: ")
    assert "Traceback" in failure.value.detail
    assert len(units) > 1
    result = evaluated(config, Each(measure))
    assert started == ["progressive_fill", "performance"]
    assert [e.status for e in result.evidence] == ["error", "ok"]
    assert result.evidence[0].reason == f"{units[0]}: RuntimeError: It broke."
    assert "Traceback" in result.evidence[0].detail


def _same_evidence(one, other):
    assert [e.status for e in one.evidence] == ["ok"] * len(one.evidence)
    assert [e.model_dump_json(include={"check", "sentence", "metrics"}) for e in one.evidence] == [
        e.model_dump_json(include={"check", "sentence", "metrics"}) for e in other.evidence
    ]
    for mine, others in zip(one.evidence, other.evidence, strict=True):
        assert mine.images.equals(others.images)
    assert one.setting == other.setting
    assert one.notes == other.notes


@pytest.mark.slow
@pytest.mark.parametrize("net", [planned_nets.Linear(), planned_nets.Narrow(rows=8)])
def test_units_in_threads_give_the_same_evidence(net, config_of, tmp_path):
    """The second network runs out of memory, so that the plan changes while threads wait."""
    fill = {"kind": "progressive_fill", "images": 300}
    config = config_of(net, [fill, PERFORMANCE], engine={"chunk": 16})
    with open_session(config) as session:
        assert len(session.units(session.check("progressive_fill"))) > 1
    apart = config.model_copy(update={"store": str(tmp_path / "apart")})
    _same_evidence(evaluated(config, Threads()), evaluated(apart))


_TOLD = {
    "none": "Expected Evidence from conclude of {}, got NoneType.",
    "a dict": "Expected Evidence from conclude of {}, got dict.",
    "picture is a list": "TypeError: Expected an array as picture 'a', got list.",
    "picture of floats": "Expected uint8 (H, W) or (H, W, 3) as picture 'a', got float64 (2, 2).",
    "numpy number": "TypeError: Object of type float32 is not JSON serializable.",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the check is not registered
def test_bad_evidence_of_a_check_is_its_error_and_the_next_check_goes_on(config_of):
    config = config_of(planned_nets.Linear(), [PERFORMANCE])
    bad = tuple(Bad(fault=fault, label=f"bad_{number}") for number, fault in enumerate(FAULTS))
    config = config.model_copy(update={"checks": (*bad, *config.checks)})
    result, again = evaluated(config), evaluated(config)
    assert [e.status for e in result.evidence] == ["error"] * len(FAULTS) + ["ok"]
    found = zip(FAULTS, bad, result.evidence[:-1], again.evidence[:-1], strict=True)
    for fault, check, evidence, repeated in found:
        assert evidence.check == check.name
        assert check.name in evidence.reason
        assert "\n" not in evidence.reason
        told = _TOLD.get(fault, "Expected evidence of {} that can be ")
        assert told.format(check.name) in evidence.reason, fault
        assert repeated.reason == evidence.reason, "bad evidence was kept"
