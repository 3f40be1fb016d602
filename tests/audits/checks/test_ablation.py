"""Each cell of an ablation equals random_fill, and other grids reuse the cells in the store."""

import json
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import measured
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from audits import run_audit
from audits.checks.ablation import Ablation
from audits.checks.context import AuditContext
from audits.checks.random_fill import RandomFill
from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.sources import Digits
from audits.errors import AuditError
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models.registry import resolve
from fillblanks import Classifier, Plan

pytestmark = pytest.mark.slow

GRID = Ablation(
    images=None,
    mask_ratio=(0.25, 0.5),
    patch_size=(1, 3),
    update=("first_order", "second_order"),
    normalise=("positive", "minmax"),
    binarise=(0.1, "otsu", None),
    samples=4,
)
AXES = ["mask_ratio", "patch_size", "update", "normalise", "binarise"]


@pytest.fixture(scope="module")
def audit(image_set):
    """12 noisy images of 3 classes, and a network that recognises most of them."""
    rng = np.random.default_rng(1)
    patterns = (rng.random((3, 6, 6)) < 0.4).astype(float)
    labels = np.repeat([0, 1, 2], 4)
    images = (0.5 * patterns[labels] + 0.5 * rng.random((12, 6, 6))).astype(np.float32)
    torch.manual_seed(0)
    head = nn.Linear(36, 8, dtype=torch.float64)
    with torch.no_grad():
        head.weight[:3].copy_(torch.from_numpy((patterns - patterns.mean(0)).reshape(3, 36)))
        head.bias.zero_()
    net = nn.Sequential(nn.Flatten(), head, nn.Softplus(), nn.Linear(8, 3, dtype=torch.float64))
    with torch.no_grad():
        net[3].weight.copy_(torch.eye(3, 8) * 4)
    return AuditContext(
        image_set(images, labels), seed=4, plan=Plan(chunk=8), model=Classifier(net)
    )


def evidence_of(check, audit):
    return measured.evidence_of(check, audit)


@pytest.fixture(scope="module")
def evidence(audit):
    return evidence_of(GRID, audit)


@pytest.mark.soak
def test_there_is_a_row_for_every_cell_and_every_t(evidence):
    table = evidence.tables["cells"]
    wanted = set(product(*(map(str, getattr(GRID, name)) for name in AXES)))
    found = set(table[AXES].astype(str).replace("none", "None").itertuples(index=False, name=None))
    assert (len(table), found) == (len(wanted), wanted)


@pytest.mark.parametrize("update", GRID.update)
@pytest.mark.parametrize("binarise", GRID.binarise)
def test_a_cell_is_what_random_fill_gives(update, binarise, evidence, audit):
    cell = {
        "mask_ratio": 0.5, "patch_size": 3, "update": update, "normalise": "minmax",
        "binarise": binarise,
    }  # fmt: skip
    alone = evidence_of(RandomFill(samples=GRID.samples, **cell), audit).estimates
    table = evidence.tables["cells"]
    cell["binarise"] = str(binarise).lower()
    row = table[(table[list(cell)] == list(cell.values())).all(axis=1)].iloc[0]
    for name in ("accuracy", "accuracy_null", "accuracy_lift", "f1_macro", "f1_weighted"):
        assert row[name] == alone[f"prototype_{name}"].value, name
    accuracy = alone["prototype_accuracy"]
    assert (row["low"], row["high"], row["images"]) == (accuracy.low, accuracy.high, accuracy.n)
    assert row["coverage"] == alone["coverage"].value


def test_the_metrics_are_the_least_of_all_cells_whatever_a_reference_says(evidence, audit):
    table = evidence.tables["cells"]
    wanted = {f"least_{name}": table[name].min() for name in ("accuracy", "accuracy_lift")}
    wanted["coverage"] = table["coverage"].min()
    assert {name: estimate.value for name, estimate in evidence.estimates.items()} == wanted

    judged = evidence_of(GRID, replace(audit, reference=Classifier(Flipped(audit.classifier.net))))
    assert {name: judged.estimates[name] for name in wanted} == evidence.estimates
    found = judged.tables["cells"]
    for name in ("reference_accuracy", "reference_accuracy_lift"):
        assert judged.estimates[f"least_{name}"].value == found[name].min()
    assert found[table.columns].equals(table)


class Flipped(nn.Module):
    """Gives the network each image upside down."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.flip(2))


def test_the_passes_of_units_are_those_of_the_check(audit, evidence):
    for check in (
        GRID,
        RandomFill(samples=3, update="second_order"),
        Ablation(images=None, mask_ratio=(0.25, 0.5), samples=8),
    ):
        units = check.units(audit)
        assert sum(map(check.unit_passes, units)) == check.passes(12)
        assert sum(map(check.most_unit_passes, units)) == check.most_passes(12)
        found = evidence if check is GRID else measured.evidence_of(check, audit, units)
        passes = found.passes
        assert check.passes(12) <= passes <= check.most_passes(12)


def test_what_depends_on_the_images_is_written_out():
    assert Ablation().settled((1, 28, 28)).patch_size == (1, 2, 4)
    large = Ablation().settled((3, 224, 224))
    assert large.patch_size == (28, 56)  # at 112, a mask_ratio of 0.1 blanks no patch
    assert large.settled((3, 224, 224)) == large


def test_a_cell_that_cannot_be_is_told_before_anything_is_measured(audit):
    with pytest.raises(AuditError, match="patch_size 3: Expected a mask_ratio that blanks"):
        Ablation(patch_size=(1, 3), mask_ratio=(0.1,)).units(audit)


def test_the_pictures_are_a_map_and_a_grid_for_each_update_and_t(evidence):
    keys = {p.key for p in evidence.pictures}
    assert keys == {"ablation/consistency", *(f"ablation/class_{c}" for c in "abc")}
    for key in keys:
        steps = [p for p in evidence.pictures if p.key == key]
        assert [p.step for p in steps] == list(range(2 * 2 * 3))
        assert len({p.caption for p in steps}) == len(steps)
        assert all(p.image.dtype == np.uint8 and p.image.ndim == 3 and not p.small for p in steps)


@pytest.mark.soak
def test_cuts_do_not_change_the_table(audit, evidence, monkeypatch):
    monkeypatch.setattr(Ablation, "_images_of", lambda *_: 5)
    cut = evidence_of(GRID, audit)
    assert cut.tables["cells"].equals(evidence.tables["cells"])
    assert cut.passes == evidence.passes


@pytest.mark.parametrize("field", ["mask_ratio", "patch_size", "normalise"])
def test_an_axis_has_values_each_once(field):
    for values in ((), getattr(GRID, field)[:1] * 2):
        with pytest.raises(ValidationError, match="expected one or more values, each once"):
            Ablation(**{field: values})


def test_an_image_that_is_never_accepted_is_a_miss_in_every_cell(audit):
    class Wrong(nn.Module):
        def forward(self, x):
            masked = (x == 0).flatten(1).any(1)
            return (
                torch.where(masked[:, None], 10 * torch.eye(3)[0], 10 * torch.eye(3)[1])
                + 0 * x.sum()
            )

    dead = AuditContext(audit.images, 4, audit.plan, Classifier(Wrong()))
    table = evidence_of(
        Ablation(images=12, mask_ratio=(0.25,), patch_size=(1, 3), samples=2), dead
    ).tables["cells"]
    assert (table["accuracy"] == table["coverage"]).all()
    assert (table["coverage"] == 4 / 12).all()  # masked images are always predicted as class 0


@pytest.fixture
def session_of(register, registry, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    uri, _ = register(net, "m")

    def make(check):
        config = AuditConfig(
            model=uri, data=Digits(), checks=(check,), store=str(tmp_path / "store")
        )
        inputs = AuditInputs(config, resolve(uri), sources.load(Digits()))
        with inputs, Worker() as worker, Session(inputs, worker) as session:
            yield session

    return contextmanager(make)


def test_another_grid_takes_the_cells_it_shares_from_the_store(session_of):
    first = Ablation(images=10, mask_ratio=(0.25,), patch_size=(7, 14), samples=2)
    second = Ablation(
        images=10, mask_ratio=(0.5, 0.25), patch_size=(14,), samples=2, binarise=("otsu",)
    )
    with session_of(first) as session:
        for unit in session.units(first):
            session.measure(first, unit)
    with session_of(second) as session:
        left = [u for u in session.units(second) if not session._stored(second, u)]
        assert [dict(u.cell)["mask_ratio"] for u in left] == [0.5]
        for unit in session.units(second):
            session.measure(second, unit)
        assert len(session.conclude(second).tables["cells"]) == 2


def test_an_audit_records_the_table_and_the_pictures(register, registry, tmp_path):
    torch.manual_seed(0)
    uri, _ = register(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "m")
    check = Ablation(
        images=10, mask_ratio=(0.25,), patch_size=(7, 14), binarise=(0.1, None), samples=2
    )
    config = AuditConfig(model=uri, data=Digits(), checks=(check,), store=str(tmp_path))
    result = run_audit(config)
    (found,) = result.evidence
    assert found.status == "ok", found.detail
    folder = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id))
    table = pd.read_csv(
        folder / "ablation_cells.csv", keep_default_na=False, dtype={"binarise": str}
    )
    (recorded,) = json.loads((folder / "evidence.json").read_text())["checks"]
    assert recorded["tables"]["cells"] == json.loads(
        table.to_json(orient="records", double_precision=15)
    )
    assert recorded["tables"]["cells"][0].items() >= {"patch_size": 7, "binarise": "0.1"}.items()
    page = (folder / "report.html").read_text()
    assert page.count("<img") == len(found.pictures) == 2 * (1 + 3)
    assert len(list((folder / "images").iterdir())) == 2 * len(found.pictures)
    assert not (folder / "contact_sheet.png").exists()
