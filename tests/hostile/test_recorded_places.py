"""A record of an audit in MLflow decides on figures alone: it names no place that is read here."""

from pathlib import Path
from typing import Literal, get_args, get_origin

import mlflow
import numpy as np
import pandas as pd
import pytest
from gates import never
from records import URI, changed, of_this_model

from audits import AuditConfig, AuditError, parse_config
from audits.checks.registered import _OURS
from audits.data.built import DataKind
from audits.data.sources import AnyData, Csv, MlflowDataset
from audits.models.registry import resolve
from audits.workflows.gate import gate
from audits.workflows.recorded import TAKEN, config_of

KINDS: tuple[type[DataKind], ...] = get_args(get_args(AnyData)[0])
SECRET = "fill-canary-blanks"


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A table with a secret in its header and a variable of the environment with the same."""
    monkeypatch.setenv("CANARY", SECRET)
    table = tmp_path / "secret.csv"
    table.write_text(f"{SECRET},x\n1,2\n")
    return table


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model_fields["kind"].default)
def test_no_field_of_recorded_data_names_a_place(kind, record, canary):
    fields = {n: f for n, f in kind.model_fields.items() if n != "kind"}
    name = kind.model_fields["kind"].default
    needed = {n: str(canary) for n, field in fields.items() if field.is_required()}
    needed |= {"run": "0" * 32} if "run" in needed else {}
    needed |= {"dataset": "MNIST"} if "root" in needed else {}
    http = "http://127.0.0.1:9/latest"
    places = (str(canary), "/proc/self/environ", "/", http, f"file://{canary}", "runs:/x/y")
    for n, field in enumerate(fields):
        data = {"kind": name, **needed, field: places[n % len(places)]}
        record.put(changed(record.content, ("config", "data"), data))
        with pytest.raises(AuditError) as caught:
            gate("models:/digits/1", baseline=URI, audit=never)
        (line,) = caught.value.args
        assert SECRET not in line
        if not kind.comes_with_a_library:
            # Refused before anything is read, or not even a record.
            assert "only your own config names files" in line or "can be verified" in line


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": "csv", "path": "/etc/shadow"}, "got 'csv' at '/etc/shadow': only your own"),
        ({"kind": "unheard", "path": "x"}, "got 'unheard' at 'x'"),
        ({"kind": "folder"}, "got 'folder' at 'no place'"),
        ({"kind": "digits", "path": "/etc/shadow"}, "data.digits.path: unknown key"),
        ({"kind": "digits", "size": 10**9}, "less than or equal to 1024"),
    ],
)
def test_recorded_data_at_a_place_are_refused_in_a_line_that_says_what_to_do(data, told, record):
    record.put(changed(record.content, ("config", "data"), data))
    with pytest.raises(AuditError) as caught:
        gate("models:/digits/1", baseline=URI, audit=never)
    (line,) = caught.value.args
    assert told in line
    if "your own" in line:
        assert "Give --config FILE; the recorded config is audit.yaml of run" in line


def test_recorded_checks_of_other_packages_and_files_of_names_are_refused(record):
    checks = [{"kind": "performance"}, {"kind": "of_another", "file": "/etc/shadow"}]
    record.put(changed(record.content, ("config", "checks"), checks))
    with pytest.raises(AuditError, match=r"Expected checks of fillblanks .* got 'of_another'"):
        config_of(resolve(URI))
    path = ("config", "preprocessing", "classes_file")
    record.put(changed(record.content, path, "/etc/shadow"))
    with pytest.raises(AuditError, match="got a classes_file"):
        config_of(resolve(URI))


def test_a_recorded_training_set_at_a_place_is_refused(record, canary):
    at_a_place = {"kind": "csv", "path": str(canary)}
    for training in (at_a_place, {"kind": "unheard"}, {"path": "x"}, {}, [at_a_place], "x"):
        checks = [{"kind": "duplicates", "training": training}]
        record.put(changed(record.content, ("config", "checks"), checks))
        with pytest.raises(AuditError, match="Expected a training set that comes with a library"):
            config_of(resolve(URI))
    checks = [{"kind": "duplicates", "training": {"kind": "digits", "split": "train"}}]
    record.put(changed(record.content, ("config", "checks"), checks))
    assert list(config_of(resolve(URI))["checks"]) == checks


def test_a_recorded_folder_of_a_check_is_refused(record, tmp_path):
    # The process of the model may read what is there.
    for place in (str(tmp_path), "/", "~/.ssh", ["/"]):
        checks = [{"kind": "performance"}, {"kind": "evidence", "regions": place}]
        record.put(changed(record.content, ("config", "checks"), checks))
        with pytest.raises(AuditError, match=r"Expected no regions in a check .* names files"):
            config_of(resolve(URI))
    checks = [{"kind": "human_maps", "maps": "/etc"}]
    record.put(changed(record.content, ("config", "checks"), checks))
    with pytest.raises(AuditError, match="Expected no maps in a check"):
        config_of(resolve(URI))
    checks = [{"kind": "evidence", "regions": None}]
    record.put(changed(record.content, ("config", "checks"), checks))
    assert list(config_of(resolve(URI))["checks"]) == checks


def _takes_any_text(annotation):
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return False
    return annotation in (str, Path) or any(_takes_any_text(one) for one in inner)


@pytest.mark.parametrize("check", _OURS, ids=lambda check: check.model_fields["kind"].default)
def test_each_field_of_a_check_that_can_name_a_place_is_known(check):
    named = {n for n, f in check.model_fields.items() if _takes_any_text(f.annotation)}
    assert named - {"label", "slices"} == {
        *check.places,
        *check.own_places,
    }  # slices are columns of the data
    of_data = {
        name
        for name, field in check.model_fields.items()
        if any(kind.__name__ in str(field.annotation) for kind in KINDS)
    }
    assert of_data <= {"training"}  # which is refused unless it comes with a library


def test_a_record_decides_on_nothing_but_figures(record):
    own = {
        "store": "/tmp/elsewhere",
        "experiment": "elsewhere",
        "isolation": "none",
        "docker_image": "image",
        "environment": "uv",
        "trust_pickle_sha256": ["0" * 64],
        "served": ["onnx"],
        "device": "cuda",
        "limits": {"load_seconds": 1.0},
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
        "baseline": "models:/digits/1",
    }
    assert set(AuditConfig.model_fields) == {*own, *TAKEN, "model"}
    record.put(changed(record.content, ("config",), {**record.content["config"], **own}))
    values = config_of(resolve(URI))
    assert set(values) == set(TAKEN)
    assert parse_config(of_this_model(values)).isolation == "process"


def test_what_a_run_says_is_its_data_set_is_read_and_not_told(shared_registry, canary):
    frame = pd.DataFrame({"a": np.arange(2)})
    with mlflow.start_run() as run:
        logged = mlflow.data.from_pandas(frame, source=str(canary), name="own")
        mlflow.log_input(logged, context="test")
        for n, source in enumerate((canary, canary.parent), start=1):
            logged = mlflow.data.from_pandas(frame + n, source=str(source), name="two")
            mlflow.log_input(logged, context="test")
    with pytest.raises(AuditError, match="Expected data that can be read at") as caught:
        MlflowDataset(run=run.info.run_id, dataset="own").load()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(AuditError, match="Expected one data set 'two' in run"):
        MlflowDataset(run=run.info.run_id, dataset="two").load()


@pytest.mark.parametrize(
    "place",
    [
        "/proc/self/environ",
        "file:///proc/self/environ",
        "local:///proc/self/environ",
        "simplecache::file:///proc/self/environ",
        "/tmp/../proc/self/environ",
        "/dev/fd/0",
        "/sys/kernel",
        "/dev/zero",
        "LINK",
    ],
)
def test_what_the_kernel_tells_is_no_data(place, tmp_path):
    if place == "LINK":
        (tmp_path / "link").symlink_to("/proc/self/environ")
        place = str(tmp_path / "link")
    table = tmp_path / "t.csv"
    table.write_text(f"path,label\n{place},a\n")
    for kind in KINDS:
        fields = kind.model_fields
        where = "root" if "root" in fields else "path"
        if kind.comes_with_a_library or where not in fields:
            continue
        needed = {"dataset": "MNIST"} if "root" in fields else {}
        if where == "root" and "://" in place:
            continue  # torchvision reads paths alone
        with pytest.raises(AuditError, match=r"got .*, which is below /(proc|sys|dev)"):
            kind(**{where: place}, **needed).load()
    with pytest.raises(AuditError, match="which is below"):
        Csv(path=str(table)).load()
