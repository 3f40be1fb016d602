"""Blank checks: what is proven is never broken, and a trigger in a corner is never proven away."""

from functools import cache

import measured
import numpy as np
import pytest
import torch
from torch import nn

from audits.checks._shared.blank_figures import all_states, states_of
from audits.checks._shared.blank_pictures import State
from audits.checks.blank_attack import BlankAttack
from audits.checks.blank_proof import BlankProof
from audits.checks.context import AuditContext
from audits.data.sources import Digits, load
from audits.errors import NotApplicable
from audits.evidence.declaration import differences
from audits.models.adapter import BlackBox
from fillblanks import Classifier, Plan

SHAPE = (1, 28, 28)
FEW = {"images": 6, "blanks": 4, "steps": 6, "restarts": 2}
PROOF, ATTACK = BlankProof(**FEW).settled(SHAPE), BlankAttack(**FEW).settled(SHAPE)


@cache
def _net(trigger: float = 0.0) -> nn.Module:
    """A small network of digits; with a trigger, it answers with one class at a white corner."""
    digits = load(Digits())
    images, labels = digits.tensor(range(200)), torch.from_numpy(digits.labels[:200])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 49, 16), nn.ReLU()
        )
        net.append(nn.Linear(16, 10))
        optimiser = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimiser.step()
    return _Triggered(net, trigger).eval() if trigger else net.eval()


class _Triggered(nn.Module):
    """Adds much to one class if a pattern stands in the top left blank, and only then."""

    def __init__(self, net: nn.Module, near: float):
        super().__init__()
        self.net = net
        self.alarm, self.add = nn.Linear(784, 1), nn.Linear(1, 10, bias=False)
        corner = torch.zeros(28, 28)
        corner[:4, :4] = (torch.arange(16).view(4, 4) * 7 % 5 < 2).float() * 2 - 1
        with torch.no_grad():
            self.alarm.weight.copy_(corner.flatten())
            self.alarm.bias.fill_(-float(corner.clamp(min=0).sum()) + near)
            self.add.weight.zero_()
            self.add.weight[3] = 1e4

    def forward(self, x):
        return self.net(x) + self.add(self.alarm(x.flatten(1)).relu())


def _audit(net, seed=0, chunk=64, constant=True):
    model = Classifier(net, constant=constant) if isinstance(net, nn.Module) else net
    return AuditContext(load(Digits()), seed, Plan(chunk=chunk), model)


@pytest.fixture(scope="module")
def audit():
    return _audit(_net())


@pytest.fixture(scope="module")
def parts(audit):
    return [PROOF.measure(audit, unit) for unit in PROOF.units(audit)]


@pytest.fixture(scope="module")
def found(audit, parts):
    return PROOF.conclude(audit, parts)


def test_cases_are_proven_broken_or_undecided_and_all_are_counted(found, parts):
    states = all_states(parts)
    assert states.shape == (6, 4)
    shares = {name: found.metrics[name].estimate for name in ("proven", "broken", "undecided")}
    assert sum(one.value for one in shares.values()) == pytest.approx(1)
    for name, state in (("proven", State.PROVEN), ("broken", State.BROKEN)):
        assert shares[name].value == pytest.approx((states == state).mean())
        assert shares[name].low <= shares[name].value <= shares[name].high
        assert shares[name].n == 6
    assert shares["proven"].value > 0.5
    assert found.metrics["radius"].estimate.value > 0
    assert found.metrics["proven_by_intervals"].estimate.value <= shares["proven"].value
    assert f"{(states == State.PROVEN).sum()} of 24 cases" in found.sentence
    assert differences(PROOF.declared_metrics(reference=False), found.metrics) == []
    assert all(metric.bounds is None for metric in found.metrics.values())


def test_bounds_are_in_their_order(parts):
    for part in parts:
        kept = states_of(part) != State.BROKEN
        bounds = [part[name][kept] for name in ("ibp", "crown", "best")]
        margins = [part[f"{name}_margin"][kept] for name in ("worst", "random")]
        for lower, upper in zip([*bounds, margins[0]], [*bounds[1:], *margins], strict=True):
            assert (lower <= upper).all()


def test_the_worst_fill_that_is_shown_is_read_as_the_model_reads_it(audit, found, parts):
    worst = [p for p in found.pictures if p.seen.shows == "worst"]
    assert worst
    assert {p.step for p in found.pictures} == {0, 1, 2, 3}
    for picture in worst:
        image = torch.from_numpy(picture.image[:, :, :1].copy()).permute(2, 0, 1)[None] / 255
        plain = audit.images.tensor([picture.seen.image])
        assert ((image - plain).abs() > 0.01).sum() <= 16
        named = audit.classifier.predict(image).item()
        # A picture has 256 shades; a break within rounding may not stand that.
        assert (
            named == picture.seen.read_as
            or picture.seen.read_as != found.images.loc[picture.seen.image, "read"]
        )


def test_random_fills_and_attacks_are_the_same_in_both_checks(audit, parts):
    evidence = measured.evidence_of(ATTACK, audit)
    own = np.concatenate([states_of(part) == State.BROKEN for part in parts]).mean()
    assert evidence.metrics["broken"].estimate.value == pytest.approx(own)
    assert "which is no proof" in evidence.sentence
    assert "proven" not in evidence.metrics
    assert differences(ATTACK.declared_metrics(reference=False), evidence.metrics) == []
    assert set(evidence.tables["cases"]["known"]) <= {"broken", "no break"}


@pytest.mark.slow
@pytest.mark.parametrize("near", [0.5, 1e-3])
def test_a_trigger_in_one_corner_of_the_blank_is_never_proven_away(near):
    check = PROOF.model_copy(update={"images": 3, "blanks": 49})
    audit = _audit(_net(near))
    parts = [check.measure(audit, unit) for unit in check.units(audit)]
    states, blank = all_states(parts), np.concatenate([part["blank"] for part in parts])
    read = np.concatenate([part["read"] for part in parts])
    assert (blank == 0).any(1).all()
    assert not (states[(blank == 0) & (read != 3)[:, None]] == State.PROVEN).any()
    assert (states[blank == 48] == State.PROVEN).any(), "other blanks can be proven"


@pytest.mark.slow
def test_seeds_draw_other_blanks_and_chunks_change_no_conclusion(audit, parts, found):
    other = _audit(_net(), chunk=7, constant=False)
    again = PROOF.conclude(other, [PROOF.measure(other, unit) for unit in PROOF.units(other)])
    assert again.metrics["proven"] == found.metrics["proven"]
    unit = PROOF.units(audit)[0]
    assert not torch.equal(
        PROOF.chosen_blanks(audit, unit), PROOF.chosen_blanks(_audit(_net(), seed=1), unit)
    )
    assert len(set(PROOF.chosen_blanks(audit, unit)[0].tolist())) == 4


def test_a_network_that_cannot_be_bounded_is_named_and_can_be_attacked():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid(), nn.Linear(10, 10)).eval()
    audit = _audit(net)
    with pytest.raises(NotApplicable, match=r"sigmoid.*blank_attack takes any network"):
        PROOF.measure(audit, PROOF.units(audit)[0])
    assert measured.evidence_of(ATTACK, audit).metrics["broken"].estimate.finite


def test_a_large_network_is_refused_for_proofs(monkeypatch, audit):
    monkeypatch.setattr("audits.checks._blank_proof.bounds.MOST_ACTIVATIONS", 10)
    fresh = _audit(_net(), constant=False)
    with pytest.raises(NotApplicable, match=r"at most 10 values.*blank_attack"):
        PROOF.measure(fresh, PROOF.units(fresh)[0])


class _Named(BlackBox):
    """Gives classes alone, as a model without a gradient does."""

    def forward(self, images):
        with torch.no_grad():
            named = _net()(images).argmax(1, keepdim=True)
        return (torch.arange(10) == named).float() - 1


def test_a_black_box_is_searched_at_random():
    evidence = measured.evidence_of(ATTACK, _audit(_Named()))
    assert evidence.metrics["coverage"].estimate.value == 1
    assert evidence.metrics["broken"].estimate.value >= (
        evidence.metrics["random_broken"].estimate.value
    )


class _Silent(nn.Module):
    """Has no answer for bright images."""

    def __init__(self):
        super().__init__()
        self.net = _net()

    def forward(self, x):
        bright = x.flatten(1).mean(1, keepdim=True) > 0.3
        return torch.where(bright, torch.nan, self.net(x))


def test_images_without_an_answer_never_count_as_images_whose_answer_stays():
    audit = _audit(_Silent().eval())
    evidence = measured.evidence_of(ATTACK.model_copy(update={"images": 20}), audit)
    silent = evidence.images["read"] < 0
    assert 0 < silent.sum() < 20
    assert evidence.metrics["coverage"].estimate.value == pytest.approx(1 - silent.mean())
    # Beside another model they count as broken.
    assert (evidence.images.loc[silent, "broken"] == 1).all()
    broken = evidence.metrics["broken"].estimate
    assert broken.n == evidence.metrics["random_broken"].estimate.n == 20 - silent.sum()
    assert broken.value == evidence.images.loc[~silent, "broken"].mean()
    assert f"no answer are left out: {silent.sum()}." in evidence.sentence
    assert f"({20 - silent.sum()} images" in evidence.sentence


class _Dumb(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10] + torch.nan


def test_a_model_without_any_answer_is_not_applicable():
    with pytest.raises(NotApplicable, match="has an answer, got none of 6: it gives NaN"):
        measured.evidence_of(ATTACK, _audit(_Dumb()))


def test_a_fill_below_a_bound_ends_the_check(monkeypatch, audit):
    from fillblanks.bounds.prover import Margin, Prover

    monkeypatch.setattr(Prover, "margin", lambda *args, **more: Margin(1e9, 1e9, 1e9))
    with pytest.raises(ValueError, match="every fill within the bounds"):
        PROOF.measure(audit, PROOF.units(audit)[0])


def test_a_proof_of_a_broken_case_ends_the_check(monkeypatch, audit):
    from fillblanks.bounds.prover import Margin, Prover

    # Below the margin of every case that is not broken, so that only broken ones contradict it.
    monkeypatch.setattr(Prover, "margin", lambda *args, **more: Margin(1e-9, 1e-9, 1e-9))
    unit = PROOF.units(audit)[0]
    attacked = PROOF.attacked(audit, unit)
    assert (states_of(attacked.part) == State.BROKEN).any()
    with pytest.raises(ValueError, match="every fill within the bounds"):
        PROOF.measure(audit, unit)


def test_a_blank_that_is_the_whole_image_is_refused():
    assert "all of it" in BlankProof(patch_size=28).impossible(SHAPE)
    assert BlankProof(patch_size=27).impossible(SHAPE) == ""
    assert BlankProof().settled((3, 224, 224)).patch_size == 32
