"""Another process measures units of an audit by its ticket, with any number of threads."""

import json
import pickle
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import planned_nets
import pytest
import torch
from sessions import evaluated, open_session

from audits import AuditError, parse_config, run_audit
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


class Here:
    """Runs in this process; an error comes back as from another process, by its pickle."""

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))
        return future


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


@pytest.mark.soak
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


@pytest.mark.soak
def test_the_session_elsewhere_is_closed_with_its_batch(others, config_of):
    config = config_of(planned_nets.Linear(), CHECKS)
    with open_session(config) as session:
        ticket = tickets.ticket_of(session)
        others.submit(tickets.measure_units, ticket, "performance", [0]).result()
        first = others.submit(_children).result()
        others.submit(tickets.measure_units, ticket, "random_fill", [0]).result()
        assert others.submit(_children).result() == first, "a process was left"
        assert session.conclude(session.check("performance")).status == "ok"


@pytest.mark.parametrize("where", ["here", pytest.param("another process", marks=pytest.mark.slow)])
def test_a_unit_that_fails_elsewhere_is_named(where, request, config_of):
    processes = Here() if where == "here" else request.getfixturevalue("others")
    config = config_of(planned_nets.Broken(RuntimeError("It broke.")), [FEW])
    (evidence,) = evaluated(config, Elsewhere(processes)).evidence
    assert evidence.status == "error"
    assert evidence.reason == "unit 0 (20 images from 4): RuntimeError: It broke."
    assert "Traceback" in evidence.detail


@pytest.fixture(scope="module")
def begun(shared_registry, register, tmp_path_factory):
    """The config of an audit, with an empty store, and the ticket of its session."""
    uri, sha256 = register(planned_nets.Linear(), "begun", pickled=True)
    values = {"model": uri, "trust_pickle_sha256": sha256, "data": {"kind": "digits"}}
    store = str(tmp_path_factory.mktemp("store"))
    config = parse_config({**values, "checks": CHECKS, "device": "cpu", "store": store})
    with open_session(config) as session:
        return config, tickets.ticket_of(session)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": "0" * 64}, "Expected the same model and data as where the audit began"),
        ({"device": "NVIDIA H100"}, "Expected float32 on NVIDIA H100 with torch"),
        ({"dtype": "float64"}, "Expected float64 on cpu with torch .* got float32 on cpu"),
        ({"torch": "1.0"}, "Expected float32 on cpu with torch 1.0, as where the audit began"),
    ],
)
def test_a_ticket_of_other_inputs_or_another_device_is_refused(changed, message, begun):
    config, ticket = begun[0], json.loads(begun[1])
    for name, value in changed.items():
        place = ticket if name in ticket else ticket["start"]["setting"]
        assert place[name] != value
        place[name] = value
    with pytest.raises(AuditError, match=message):
        tickets.measure_units(json.dumps(ticket), "performance", [0])
    assert _kept(config) == set()


def test_the_plan_travels_with_the_ticket(begun):
    ticket = json.loads(begun[1])
    ticket["start"]["plan"]["chunk"] = 8
    with tickets.opened(json.dumps(ticket)) as session:
        assert session.plan.chunk == 8
        assert session.start.plan == session.plan
