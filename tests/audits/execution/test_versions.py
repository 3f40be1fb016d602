"""Other versions of a model: other models, of the same classes, and another audit."""

import mlflow
import pytest
import torch
from torch import nn

from audits import AuditError, run_audit
from audits.config.reading import parse_config
from audits.workflows.resolved import pinned

CHECK = {"kind": "agreement", "images": 6, "draws": 16, "patch_size": 7}


def linear(seed=0, classes=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, classes))


class Scaled(nn.Module):
    """The same answers, with another temperature."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images) * 0.7


def config_of(model, versions, store, **others):
    values = {"data": {"kind": "digits"}, "checks": [CHECK], "store": str(store), **others}
    return parse_config({"model": model, "versions": versions, **values})


@pytest.fixture(scope="module")
def made(register, shared_registry):
    """The URIs of three versions, and of models that are none of theirs, by name."""
    found = {"three": [register(linear(seed), "m")[0] for seed in range(3)]}
    others = {"copy": Scaled(linear(0)), "again": linear(1), "eleven": linear(2, classes=11)}
    return found | {name: register(net, name)[0] for name, net in others.items()}


@pytest.fixture
def three(made):
    return made["three"]


@pytest.mark.slow
def test_an_audit_compares_the_model_with_its_other_versions(three, tmp_path):
    result = run_audit(config_of(three[0], three, tmp_path))
    (evidence,) = result.evidence
    assert evidence.reason == ""
    # The audited one is among them and is left out.
    assert evidence.tables["versions"]["version"].tolist() == three[1:]
    assert evidence.metrics["correlation"].estimate.n == 6
    assert list(result.evaluation.version_digests) == three[1:]
    fewer = run_audit(config_of(three[0], three[1:2], tmp_path))
    assert fewer.digest != result.digest
    assert len(fewer.evidence[0].tables["versions"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "copy",
            "Expected another model under versions, got {}, which answers just as the audited",
        ),
        ("again", "got {}, which answers just as models:/m/2. Name versions that were trained"),
        ("eleven", "Expected a version {} with logits of 10 classes, got 11."),
    ],
)
def test_a_copy_and_a_model_of_other_classes_are_no_versions(made, name, told, tmp_path):
    versions = [made["three"][1], made[name]]
    verdict = run_audit(config_of(made["three"][0], versions, tmp_path)).verdict
    assert verdict.word == "undecided"
    assert told.format(made[name]) in verdict.reason


def test_the_model_alone_has_nothing_to_be_compared_with(three, tmp_path):
    with pytest.raises(AuditError, match="Expected other versions of the model under versions"):
        run_audit(config_of(three[0], three[0], tmp_path))


def test_what_cannot_be_is_said_before_anything_is_measured(three):
    with pytest.raises(AuditError, match="expected versions beside the check agreement"):
        config_of(three[0], [], "store")
    with pytest.raises(AuditError, match="expected each version once"):
        config_of(three[0], [three[1], three[1]], "store")
    with pytest.raises(AuditError, match="Expected a model at models:/m/9"):
        pinned(config_of(three[0], "models:/m/9", "store"))


def test_an_alias_is_pinned_and_named_once(three):
    mlflow.MlflowClient().set_registered_model_alias("m", "champion", "2")
    config = config_of(three[0], ["models:/m@champion", three[1], three[2]], "store")
    assert pinned(config).versions == tuple(three[1:])
