"""The store remembers refusals, also if the file that tells one is damaged, and prunes none."""

import mlflow
import pytest

from audits.errors import Contradicted, ModelRefused
from audits.execution.refusals import Refusal, StoreMemory, expect_not_refused
from audits.execution.store import Store
from audits.tracking.refused import RunMemory
from audits.tracking.tags import REFUSED_TAG

DIGEST = "ab" * 32


def test_a_refusal_is_remembered_in_one_line(tmp_path):
    memory = StoreMemory(Store(str(tmp_path)))
    expect_not_refused(DIGEST, [memory])
    memory.add(DIGEST, Refusal.today("swap", Contradicted("It lied.\nTwice. " + "x" * 900)))
    expect_not_refused("cd" * 32, [memory])
    with pytest.raises(ModelRefused) as told:
        expect_not_refused(DIGEST, [StoreMemory(Store(str(tmp_path)))])
    (file,) = tmp_path.glob("parts/refused-*.npz")
    line = str(told.value)
    assert line.endswith(f"may delete {file}.")
    assert " swap refused a model of these very files: It lied. Twice. xxx" in line
    assert "\n" not in line
    file.unlink()
    expect_not_refused(DIGEST, [memory])


def test_a_refusal_outlives_damage_and_prune(tmp_path):
    store = Store(str(tmp_path))
    memory = StoreMemory(store)
    memory.add(DIGEST, Refusal("2026-01-01", "swap", "it lied"))
    store.prune(-1)
    (file,) = tmp_path.glob("parts/refused-*.npz")
    file.write_bytes(b"damage")
    with pytest.raises(ModelRefused, match="the file that tells it is damaged"):
        expect_not_refused(DIGEST, [memory])


@pytest.mark.parametrize("milliseconds", [10**17, -(10**17)])
def test_a_run_with_a_time_of_no_calendar_spoils_nothing(registry, milliseconds):
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("audits")
    run = client.create_run(experiment, start_time=milliseconds)
    client.set_tag(run.info.run_id, REFUSED_TAG, f"{DIGEST} swap: It lied.")
    found = RunMemory("audits").of(DIGEST)
    assert (found.day, found.check) == ("an unknown day", "swap")
    assert RunMemory("audits").of("cd" * 32) is None
