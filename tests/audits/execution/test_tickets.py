"""Another process measures units of an audit by its ticket, with any number of threads."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import planned_nets
import pytest
import torch
from sessions import open_session

from audits import AuditError, run_audit
from audits.execution import tickets
from audits.execution.executors import InProcess

FEW = {"kind": "random_fill", "images": 20, "samples": 4, "max_draws": 8}
CHECKS = [{"kind": "performance"}, FEW]


def _children():
    threads = Path("/proc/self/task").iterdir()
    return {pid for thread in threads for pid in (thread / "children").read_text().split()}


class Elsewhere(InProcess):
    """Lets other processes measure each check, as a scheduler of several machines would."""

    def __init__(self, processes):
        self._processes = processes

    def map_units(self, session, check, units):
        ticket, numbers = tickets.ticket_of(session), [unit.number for unit in units]
        self._processes.submit(tickets.measure_units, ticket, check.name, numbers).result()


@pytest.fixture(scope="module")
def others(shared_registry, other_threads):
    """A process with another number of threads."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("OMP_NUM_THREADS", str(other_threads))
            assert processes.submit(torch.get_num_threads).result() == other_threads
        yield processes


def _kept(config):
    return {part.name for part in Path(config.store).rglob("*.npz")}


@pytest.mark.slow
def test_units_measured_elsewhere_are_those_of_the_audit(others, config_of):
    config = config_of(planned_nets.Linear(), CHECKS)
    elsewhere = run_audit(config, executor=Elsewhere(others))
    assert [e.status for e in elsewhere.evidence] == ["ok", "ok"], elsewhere.evidence
    kept = _kept(config)
    assert len(kept) == 4  # two parts, two conclusions
    here = run_audit(config)
    assert _kept(config) == kept, "something was measured again"
    assert [e.metrics for e in here.evidence] == [e.metrics for e in elsewhere.evidence]
    assert here.evaluation.setting == elsewhere.evaluation.setting


@pytest.mark.slow
def test_the_session_elsewhere_is_closed_with_its_batch(others, config_of):
    config = config_of(planned_nets.Linear(), CHECKS)
    with open_session(config) as session:
        ticket = tickets.ticket_of(session)
        others.submit(tickets.measure_units, ticket, "performance", [0]).result()
        first = others.submit(_children).result()
        others.submit(tickets.measure_units, ticket, "random_fill", [0]).result()
        assert others.submit(_children).result() == first, "a process was left"
        assert session.conclude(session.check("performance")).status == "ok"


def test_a_unit_that_fails_elsewhere_is_named(others, config_of):
    config = config_of(planned_nets.Broken(RuntimeError("It broke.")), [FEW])
    (evidence,) = run_audit(config, executor=Elsewhere(others)).evidence
    assert evidence.status == "error"
    with open_session(config) as session:
        (unit,) = session.units(session.check("random_fill"))
    assert evidence.reason == f"{unit}: RuntimeError: It broke."
    assert "Traceback" in evidence.detail


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": "0" * 64}, "Expected the same model and data as where the audit began"),
        ({"device": "NVIDIA H100"}, "Expected float32 on NVIDIA H100 with torch"),
        ({"dtype": "float64"}, "Expected float64 on cpu with torch .* got float32 on cpu"),
        ({"torch": "1.0"}, "Expected float32 on cpu with torch 1.0, as where the audit began"),
    ],
)
def test_a_ticket_of_other_inputs_or_another_device_is_refused(changed, message, config_of):
    config = config_of(planned_nets.Linear(), CHECKS)
    with open_session(config) as session:
        ticket = json.loads(tickets.ticket_of(session))
    for name, value in changed.items():
        place = ticket if name in ticket else ticket["start"]["setting"]
        assert place[name] != value
        place[name] = value
    with pytest.raises(AuditError, match=message):
        tickets.measure_units(json.dumps(ticket), "performance", [0])
    assert _kept(config) == set()


def test_the_plan_travels_with_the_ticket(config_of):
    config = config_of(planned_nets.Linear(), CHECKS)
    with open_session(config) as session:
        ticket = json.loads(tickets.ticket_of(session))
    ticket["start"]["plan"]["chunk"] = 8
    with tickets.opened(json.dumps(ticket)) as session:
        assert session.plan.chunk == 8
        assert session.start.plan == session.plan
