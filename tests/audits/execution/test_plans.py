"""The plan of an audit is found once, stored, made smaller if memory is short, and reported."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from audits import AuditError, parse_config
from audits.data import sources
from audits.execution import child, tuning
from audits.execution.child import Measured
from audits.execution.model_in_worker import ModelInWorker
from audits.execution.plans import Plans, smaller_plan
from audits.execution.store import Store
from audits.execution.tuning import Planned
from audits.execution.worker import WorkerFailure
from fillblanks import Plan

PLAN = Plan(chunk=16, memory_format="channels_last")
FOUND = Planned(vars(PLAN), overlap=0.995, refused=("small does not keep bfloat16: why",))
NOTE = (
    "Averages of many draws were taken in full precision; in a trial, its prototypes overlapped "
    "with those of float64 by 0.995 or more. small does not keep bfloat16: why."
)
SHRUNK = "Memory was too short for 16 images in a pass; the audit went on with 8."
LEAST = {"model": "models:/m/1", "data": {"kind": "digits"}, "device": "cpu"}
PERFORMANCE, FILL = {"kind": "performance"}, {"kind": "random_fill"}
FEW = {**FILL, "images": 20, "samples": 8}
MANY = {**FILL, "samples": 90}  # on 450 images, just enough passes to be tuned


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def _files(folder):
    """The time at which each file of a store was written, by name."""
    return {file.name: file.stat().st_mtime_ns for file in Path(folder).rglob("*.npz")}


def _plan_files(folder):
    return {name: time for name, time in _files(folder).items() if name.startswith("plan-")}


def _never():
    raise AssertionError("a plan was chosen that is there already")


def test_a_plan_is_chosen_once(store):
    plans = Plans(store, "key")
    assert (plans.current, plans.all, plans.notes) == (None, (), ())
    plans.choose(lambda: FOUND)
    plans.choose(_never)
    assert (plans.current, plans.all, plans.notes) == (PLAN, (PLAN,), (NOTE,))


def test_a_tuned_plan_is_read_again_where_the_key_is_the_same(store):
    Plans(store, "key").choose(lambda: FOUND)
    again = Plans(store, "key")
    again.choose(_never)
    assert (again.all, again.notes) == ((PLAN,), (NOTE,))
    assert Plans(store, "another key").all == ()


def test_a_plan_that_needed_no_trial_is_not_written(store):
    plans = Plans(store, "key")
    plans.choose(lambda: PLAN)
    assert (plans.all, plans.notes) == ((PLAN,), ())
    assert _files(store.folder) == {}


def test_an_overlap_that_is_not_known_is_told_so(store):
    plans = Plans(store, "key")
    plans.choose(lambda: Planned(vars(PLAN), overlap=None, refused=()))
    assert plans.notes[0].endswith("overlapped with those of float64 by an unknown share.")


@pytest.mark.parametrize(("found", "notes"), [(FOUND, (NOTE, SHRUNK)), (PLAN, (SHRUNK,))])
def test_a_smaller_plan_is_written_read_and_told(found, notes, store):
    one, other = Plans(store, "key", given=PLAN), Plans(store, "key")
    other.choose(lambda: found)
    smaller = PLAN.halved()
    other.shrink(smaller)
    assert (other.current, other.all, other.notes) == (smaller, (PLAN, smaller), notes)
    assert one.all == (PLAN,)
    one.reload()
    assert (one.current, one.all, one.notes) == (smaller, (PLAN, smaller), notes)
    again = Plans(store, "key")
    again.choose(_never)
    assert (again.all, again.notes) == (one.all, notes)


def test_a_given_plan_needs_no_choice_and_gives_way_to_what_was_written(store):
    plans = Plans(store, "key", given=Plan(chunk=4))
    plans.choose(_never)
    assert plans.all == (Plan(chunk=4),)
    assert _files(store.folder) == {}
    Plans(store, "key").choose(lambda: FOUND)
    assert Plans(store, "key", given=Plan(chunk=4)).all == (PLAN,)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-40], lambda whole: b"", bytes.swapcase])
def test_a_damaged_plan_is_chosen_anew(damage, store):
    Plans(store, "key").choose(lambda: FOUND)
    (file,) = Path(store.folder).rglob("plan-*")
    file.write_bytes(damage(file.read_bytes()))
    plans = Plans(store, "key")
    assert plans.all == ()
    plans.choose(lambda: FOUND)
    assert Plans(store, "key").all == (PLAN,)


def test_a_plan_that_another_process_found_meanwhile_is_taken(store):
    def slowly():
        Plans(store, "key").choose(lambda: FOUND)
        return Planned(vars(Plan(chunk=4)), overlap=0.99, refused=())

    plans = Plans(store, "key")
    plans.choose(slowly)
    assert plans.all == Plans(store, "key").all == (PLAN,)


def test_a_block_is_halved_where_the_chunk_cannot_be():
    assert smaller_plan(Plan(1, block=5), "why", None) == Plan(1, block=2)
    with pytest.raises(AuditError, match=r"^why$"):
        smaller_plan(Plan(1, block=1), "why", None)
    with pytest.raises(AuditError, match=r"^why limits.memory_gib = 2\.$"):
        smaller_plan(Plan(1, block=1), "why", 2)


class _Says:
    """A worker whose process always says the same, a second later."""

    def __init__(self, answer):
        self.answer, self.opened = answer, 0

    def call(self, function, *args, seconds, **_):
        if function is child.open_model:
            self.opened += 1
        return self.answer


def _in_worker(worker, seconds):
    limits = SimpleNamespace(unit_seconds=seconds, load_seconds=seconds)
    config = parse_config(LEAST | {"checks": [FEW], "store": "store"})
    inputs = SimpleNamespace(
        config=config.model_copy(update={"limits": limits}),
        cell=SimpleNamespace(isolation="none"),
        files=None,
        reference_files=None,
        version_files={},
    )
    return ModelInWorker(inputs, worker)


def test_a_process_that_always_loses_its_model_is_given_up():
    worker = _Says({})
    with pytest.raises(WorkerFailure, match="opened 10 times, and its process lost it again"):
        _in_worker(worker, 60).ask(None, child.measure)
    assert worker.opened == 10


def test_all_tries_of_a_unit_share_its_time():
    model = _in_worker(_Says({"result": {"short": "why"}}), 60)
    left = model.time_of_a_unit()
    assert model.ask(None, child.measure, gives=Measured, left=left) == Measured(short="why")
    assert left.used > 0
    left.used = 60
    with pytest.raises(WorkerFailure, match="more than 60 s in all"):
        model.ask(None, child.measure, left=left)


def test_the_process_of_a_model_chooses_no_plan():
    """Not even one that says again and again that memory is short."""
    plan = Plan(256, block=1000)
    for _ in range(9):
        plan = smaller_plan(plan, "short", None)
    with pytest.raises(AuditError, match="short"):
        smaller_plan(plan, "short", None)


def test_no_plan_is_lost_where_two_processes_run_out_of_memory(store):
    one, other = Plans(store, "key", given=PLAN), Plans(store, "key", given=PLAN)
    other.shrink(PLAN.halved())
    other.shrink(PLAN.halved().halved())
    one.shrink(PLAN.halved())
    assert PLAN.halved().halved() in Plans(store, "key").all


@pytest.mark.parametrize(
    ("checks", "short"),
    [
        ([MANY], False),
        ([PERFORMANCE, {**FILL, "images": 20, "samples": 2000}], False),
        ([PERFORMANCE, {**FILL, "samples": 40}], True),
        (
            [{**MANY, "images": 225, "samples": 10_000, "tolerance": 0.1}],
            True,
        ),  # draws may stop early
        ([{"kind": "progressive_fill", "groups": 196}], True),  # no average over draws
    ],
)
def test_an_audit_is_long_by_the_values_it_puts_through_the_model(checks, short):
    config = parse_config({**LEAST, "checks": checks})
    assert tuning.is_short(config, sources.load(config.data)) == short


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (
            {"precision": "half"},
            "engine.precision: Input should be 'float64', 'full', 'mixed' or 'bfloat16', "
            "got 'half'",
        ),
        (
            {"memory_format": "nhwc"},
            "engine.memory_format: Input should be 'contiguous' or 'channels_last', got 'nhwc'",
        ),
        ({"chunk": 0}, "engine.chunk: Input should be greater than 0, got 0"),
        ({"block": -1}, "engine.block: Input should be greater than 0, got -1"),
        ({"chunk": 8.5}, "engine.chunk: Input should be a valid integer, got 8.5"),
        ({"fused": "yes"}, "engine.fused: Input should be a valid boolean, got 'yes'"),
        ({"chunks": 8}, "engine.chunks: unknown key. Did you mean 'chunk'?"),
    ],
)
def test_an_engine_setting_that_is_wrong_is_refused_in_one_line(engine, message):
    with pytest.raises(AuditError) as refused:
        parse_config({**LEAST, "checks": [FEW], "engine": engine})
    assert str(refused.value) == f"config: {message}"


def test_what_is_fixed_is_what_was_said():
    engine = {"chunk": 8, "fused": False}
    assert parse_config({**LEAST, "checks": [FEW], "engine": engine}).engine.fixed == engine
    assert parse_config({**LEAST, "checks": [FEW]}).engine.fixed == {}
