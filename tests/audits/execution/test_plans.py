"""The plan of an audit: found once, written down, smaller where memory is short, and told."""

import json
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import mlflow
import numpy as np
import planned_nets
import pytest
import torch
from pydantic import ValidationError

from audits import AuditError, parse_config, run_audit
from audits.checks.context import AuditContext
from audits.checks.random_fill import RandomFill
from audits.data import sources
from audits.data.sources import Digits
from audits.execution import child, session, tuning
from audits.execution.inputs import Subject
from audits.execution.plans import Plans
from audits.execution.session import Session
from audits.execution.store import Store
from audits.execution.tuning import Planned
from audits.execution.worker import Worker
from audits.models import registry
from audits.workflows.preview import preview
from fillblanks import Classifier, OutOfMemory, Plan, default_plan
from flows.demo.network import ResNet

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
MANY = {**FILL, "samples": 90}  # of 450 images: just long enough to be tuned


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def _files(folder):
    """All files of a store, and when each was written."""
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
    job = child.Job(parse_config({**LEAST, "checks": [FILL]}), files=None)
    assert child.smaller_plan(OutOfMemory(), job, Plan(1, block=5)) == Plan(1, block=2)
    with pytest.raises(AuditError, match=r"^why$"):
        child.smaller_plan(OutOfMemory("why"), job, Plan(1, block=1))


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
        ([PERFORMANCE, {**FILL, "samples": 80}], True),
        ([{**MANY, "samples": 10_000, "tolerance": 0.1}], True),  # maybe
        ([{"kind": "progressive_fill", "groups": 196}], True),  # averages nothing
    ],
)
def test_an_audit_is_long_by_the_values_it_puts_through_the_model(checks, short):
    config = parse_config({**LEAST, "checks": checks})
    assert tuning.is_short(config, sources.load(config.data)) == short


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


@pytest.fixture(scope="module")
def _workers():
    with ExitStack() as opening:
        yield cache(lambda memory_gib: opening.enter_context(Worker(memory_gib)))


@pytest.fixture
def warm(_workers, monkeypatch):
    """Sessions find their process running: starting one takes seconds."""
    monkeypatch.setattr(session, "Worker", lambda memory_gib: nullcontext(_workers(memory_gib)))


@pytest.fixture
def config_of(shared_registry, register, tmp_path):
    """Registers a network and makes a config that audits it; its store is empty."""

    def make(net, checks, pickled=True, **values):
        uri, sha256 = register(net, "m", pickled=pickled)
        base = {**LEAST, "model": uri, "trust_pickle_sha256": sha256}
        return parse_config({**base, "store": str(tmp_path / "store"), "checks": checks, **values})

    return make


@contextmanager
def _session(config):
    subject = Subject(config, registry.resolve(config.model), sources.load(config.data))
    with subject, Session(subject) as session:
        yield session


def _with(config, **values):
    return parse_config({**config.model_dump(mode="json"), **values})


def _measure(session, name):
    check = session.check(name)
    for unit in session.units(check):
        session.measure(check, unit)


def test_a_short_audit_takes_the_default_and_what_is_fixed(warm, config_of):
    config = config_of(planned_nets.Linear(), [PERFORMANCE, FEW])
    with _session(config) as session:
        assert session.plan == default_plan(1, 28, 28)
        assert session.notes == ()
    fixed = {"chunk": 16, "memory_format": "channels_last"}
    with _session(_with(config, engine=fixed)) as session:
        assert (session.plan.chunk, session.plan.memory_format) == (16, "channels_last")
        assert session.engine["plans"] == [vars(session.plan)]
        assert session.engine["device"] == "cpu"
        assert _files(config.store) == {}
        assert session.cost().passes == 450 + 20 * 8
        _measure(session, "performance")
        assert session.cost().passes == 20 * 8
    with _session(_with(config, engine=fixed)) as session:
        assert session.cost().passes == 20 * 8, "another session finds the part"
    with _session(_with(config, engine={**fixed, "chunk": 8})) as session:
        assert session.cost().passes == 450 + 20 * 8, "another plan is another part"


def test_a_long_audit_is_tuned_once(warm, config_of):
    config = config_of(_fitted(planned_nets.Linear()), [PERFORMANCE, MANY], pickled=False)
    with _session(config) as first:
        assert first.cost().passes == 450 + 450 * 90
        _measure(first, "performance")
    written = _files(config.store)
    assert len(written) == 2
    assert len(_plan_files(config.store)) == 1
    assert first.notes == first.plans.notes
    assert first.notes[0].startswith(
        f"Averages of many draws were taken in {first.plan.precision} precision; in a trial, its "
        "prototypes overlapped with those of float64 by "
    )
    with _session(config) as again:
        assert (again.plan, again.notes, again.engine) == (first.plan, first.notes, first.engine)
        assert again.subject.digest == first.subject.digest
        assert again.cost().passes == 450 * 90
        _measure(again, "performance")
    assert _files(config.store) == written

    fixed = {"precision": "float64", "chunk": 32, "fused": False}
    with _session(_with(config, engine=fixed)) as other:
        assert {name: getattr(other.plan, name) for name in fixed} == fixed
        assert "float64 precision" in other.notes[0]
        assert other.subject.digest != first.subject.digest
        assert other.cost().passes == 450 + 450 * 90
    assert len(_plan_files(config.store)) == 2


def test_a_model_that_cannot_be_tuned_is_audited_all_the_same(config_of):
    config = config_of(_fitted(planned_nets.Dying()), [MANY])
    with _session(config) as session:
        assert session.plan == default_plan(1, 28, 28)
        (note,) = session.notes
        assert "Tuning failed: the process that held the model died (exit code 3" in note
        session.measure(
            session.check("random_fill"), session.units(session.check("random_fill"))[0]
        )


def test_a_precision_that_was_reduced_by_hand_is_compared_in_a_short_audit_too(warm, config_of):
    config = config_of(_fitted(planned_nets.Linear()), [FEW], engine={"precision": "bfloat16"})
    with _session(config) as session:
        assert session.plan.precision == "bfloat16"
        (note,) = session.notes
    assert note.startswith("Averages of many draws were taken in bfloat16 precision; in a trial, ")


def test_reduced_precision_that_does_not_keep_the_answer_is_told():
    note = Planned(vars(Plan(4, precision="mixed")), overlap=0.5, refused=()).note
    assert note.endswith(
        "by 0.500 or more, less than the 0.98 that is expected where none is fixed."
    )


def test_a_captured_plan_without_a_gpu_is_refused_in_one_line(warm, config_of):
    config = config_of(planned_nets.Linear(), [FEW], engine={"captured": True})
    with pytest.raises(
        AuditError, match=r"^Expected a GPU for engine.captured, found none\. Leave"
    ):
        preview(config)


BRIGHT = {**MANY, "label": "bright", "mask_ratio": 0.6, "blank_value": 1.0}


@pytest.mark.parametrize(
    ("checks", "precision"),
    [([MANY], "bfloat16"), ([MANY, BRIGHT], "full"), ([BRIGHT, MANY], "full")],
    ids=["one", "two", "turned"],
)
def test_the_most_exact_precision_of_all_checks_is_taken(checks, precision, warm, config_of):
    fixed = {"chunk": 256, "memory_format": "contiguous"}
    config = config_of(_fitted(planned_nets.Hasty()), checks, engine=fixed)
    with _session(config) as session:
        assert session.plan.precision == precision
        (note,) = session.notes
    assert f"taken in {precision} precision" in note
    assert ("bright does not keep bfloat16: its prototypes overlap" in note) == (len(checks) > 1)
    assert "random_fill does not keep" not in note


def _evidence_json(result, folder):
    client = mlflow.MlflowClient()
    return Path(client.download_artifacts(result.run_id, "evidence.json", str(folder))).read_bytes()


def test_an_audit_that_runs_out_of_memory_goes_on_with_half_the_chunk(warm, config_of, tmp_path):
    checks = [PERFORMANCE, FEW, {"kind": "progressive_fill", "images": 20}]
    config = config_of(_fitted(planned_nets.Narrow(rows=8)), checks, engine={"chunk": 16})
    result = run_audit(config)
    assert [e.status for e in result.evidence] == ["ok"] * 3
    written = _files(config.store)
    assert len(written) == 7  # three parts, three conclusions
    assert len(_plan_files(config.store)) == 1
    evidence = _evidence_json(result, tmp_path)
    told = json.loads(evidence)
    assert [plan["chunk"] for plan in told["setting"]["plans"]] == [16, 8]
    assert told["setting"]["plans"][0]["block"] == 2 * told["setting"]["plans"][1]["block"]
    assert told["notes"] == [SHRUNK]

    assert _evidence_json(run_audit(config), tmp_path) == evidence
    assert _files(config.store) == written, "something was measured again"
    with _session(config) as session:
        assert [plan.chunk for plan in session.plans.all] == [16, 8]
        assert (session.plan.chunk, session.notes) == (8, (SHRUNK,))
        assert session.cost().passes == 0
    lines = preview(config).splitlines()
    assert f"note    {SHRUNK}" in lines
    assert lines[-1].startswith("left    0 passes, about 0 s, ")


def test_an_audit_killed_while_it_made_its_plan_smaller_goes_on(warm, config_of):
    config = config_of(planned_nets.Narrow(rows=4), [FEW], engine={"chunk": 16})
    with _session(config) as session:
        session.plans.shrink(session.plan.halved())
    told = preview(config)
    assert "plan    full, contiguous; 4 images in a pass" in told
    assert f"note    {SHRUNK}" in told
    with _session(config) as session:
        _measure(session, "random_fill")
        assert [plan.chunk for plan in session.plans.all] == [16, 8, 4]


def test_a_model_is_opened_with_the_chunk_that_is_fixed(warm, config_of):
    config = config_of(planned_nets.Narrower(rows=16), [FEW], engine={"chunk": 16})
    with _session(config) as session:
        _measure(session, "random_fill")
        assert session.notes == ()


def test_a_model_is_opened_with_as_many_images_as_memory_has_room_for(warm, config_of):
    config = config_of(planned_nets.Narrower(rows=100), [FEW])
    with _session(config) as session:
        assert session.plan.chunk == 256


def test_a_chunk_that_is_too_large_is_halved_while_tuning(warm, config_of):
    fixed = {"chunk": 16, "precision": "full", "fused": False}
    config = config_of(_fitted(planned_nets.Narrow(rows=8)), [MANY], engine=fixed)
    with _session(config) as session:
        assert session.plan.chunk == 8
        assert "Memory was too short for 16 images in a pass." in session.notes[0]


def test_memory_that_is_really_limited_makes_the_chunk_smaller(config_of):
    config = config_of(
        ResNet(), [FEW], pickled=False, engine={"chunk": 2048}, limits={"memory_gib": 2.0}
    )
    with _session(config) as session:
        _measure(session, "random_fill")
        chunks = [plan.chunk for plan in session.plans.all]
        assert 64 < chunks[-1] < 2048
        assert chunks == [2048 >> i for i in range(len(chunks))]
        assert len(session.notes) == len(chunks) - 1
        assert session.conclude(session.check("random_fill")).status == "ok"


TOO_LITTLE = (
    "unit 0 (20 images from 0): Expected memory for a pass over chunk x channels x height x width "
    "= 1 x 1 x 28 x 28 = 784 values, there was too little. Take smaller images or a smaller "
    "network, or give it more memory."
)


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
    net, limits, message, warm, config_of
):
    config = config_of(net, [PERFORMANCE, FEW], engine={"chunk": 1, "block": 1}, limits=limits)
    result = run_audit(config)
    assert [e.status for e in result.evidence] == ["ok", "error"]
    assert result.evidence[1].reason == message
    assert result.verdict.word == "undecided"
    assert _plan_files(config.store) == {}


def test_a_preview_tells_plan_and_cost_and_records_nothing(warm, config_of):
    config = config_of(
        planned_nets.Linear(), [PERFORMANCE, FEW], engine={"chunk": 16}, experiment="previewed"
    )
    lines = dict(line.split(maxsplit=1) for line in preview(config).splitlines())
    assert lines["plan"].startswith("full, contiguous; 16 images in a pass, ")
    assert lines["left"].startswith("610 to 1,090 passes, about ")
    assert lines["left"].endswith(" GiB of memory")
    assert mlflow.get_experiment_by_name("previewed") is None
    version = config.model.rsplit("/", 1)[1]
    assert mlflow.MlflowClient().get_model_version("m", version).tags == {}
    assert _files(config.store) == {}


RUNS = "a model that runs, but"


@pytest.mark.parametrize(
    ("error", "check", "message"),
    [
        (RuntimeError("It broke.\nBadly."), FEW, f"{RUNS} RuntimeError: It broke"),
        (RuntimeError("It broke.\nBadly."), MANY, f"{RUNS} RuntimeError: It broke"),
        (ValueError("It broke.\nBadly."), FEW, f"{RUNS} ValueError: It broke"),
        (None, FEW, f"{RUNS} it took more than 1 s and was stopped"),
    ],
    ids=["raises", "raises in tuning", "raises ValueError", "hangs"],
)
def test_a_preview_of_a_model_that_does_not_run_says_so_in_one_line(
    error, check, message, warm, config_of
):
    config = config_of(planned_nets.Broken(error), [check], limits={"unit_seconds": 1.0})
    with pytest.raises(AuditError, match=message) as refused:
        preview(config)
    assert "\n" not in str(refused.value)


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


@pytest.fixture(scope="module")
def steady_audit(image_set):
    """30 noisy pictures of 3 classes, the first five wrongly labelled, and a network for them."""
    rng = np.random.default_rng(1)
    patterns = (rng.random((3, 6, 6)) < 0.4).astype(float)
    kind = np.arange(30) % 3
    images = (0.5 * patterns[kind] + 0.5 * rng.random((30, 6, 6))).astype(np.float32)
    labels = np.where(np.arange(30) < 5, (kind + 1) % 3, kind)
    head = torch.nn.Linear(36, 3)
    with torch.no_grad():
        weight = patterns - patterns.mean(0) + rng.normal(0, 0.3, patterns.shape)
        head.weight.copy_(torch.from_numpy(weight.reshape(3, 36)))
        head.bias.zero_()
    model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), head), mean=0.4, std=0.5)
    return AuditContext(image_set(images, labels), seed=4, plan=Plan(chunk=64), model=model)


def _evidence(check, audit):
    return check.conclude(audit, [check.measure(audit, unit) for unit in check.units(audit)])


def test_images_that_stopped_by_tolerance_are_complete(steady_audit):
    check = RandomFill(patch_size=1, samples=400, max_draws=450, tolerance=0.05)
    evidence = _evidence(check, steady_audit)
    table, metrics = evidence.images, evidence.estimates
    enough = table["accepted"] == 400
    early = ~enough & (table["drawn"] < 450)
    assert early.any()
    assert (~enough & ~early).any()
    assert (table.loc[early, "stability"] >= 0.95).all()
    assert metrics["complete"].value == (enough | early).mean()
    assert metrics["complete"].n == metrics["accepted_draws"].n == metrics["stability"].n == 30
    assert metrics["accepted_draws"].value == pytest.approx(table["accepted"].mean())
    assert metrics["stability"].value == pytest.approx(table["stability"].fillna(0).mean())
    assert evidence.passes == table["drawn"].sum()

    to_the_end = _evidence(check.model_copy(update={"tolerance": None}), steady_audit)
    enough = to_the_end.images["accepted"] == 400
    assert to_the_end.estimates["complete"].value == enough.mean() < 1
    assert to_the_end.passes > evidence.passes


def test_passes_are_counted_at_the_least_and_at_the_most():
    assert RandomFill(samples=1000).most_passes(3) == 12_000
    assert RandomFill(samples=1000, max_draws=1500, tolerance=0.1).most_passes(3) == 4500
    assert RandomFill(samples=1000).passes(3) == 3000
    assert RandomFill(samples=1000, tolerance=0.1).passes(3) == 3 * 64
    assert RandomFill(samples=10, tolerance=0.1).passes(3) == 30


@pytest.mark.parametrize("tolerance", [1, 1.5, -0.1])
def test_a_tolerance_is_a_share_below_one(tolerance):
    with pytest.raises(ValidationError, match="tolerance"):
        RandomFill(tolerance=tolerance)
    with pytest.raises(AuditError, match=r"^config: checks\.0\.random_fill\.tolerance: .* got "):
        parse_config({**LEAST, "checks": [{**FILL, "tolerance": tolerance}]})
