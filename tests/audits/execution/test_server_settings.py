"""Settings of servers are those of the program that answers there."""

import os
import sys
from contextlib import nullcontext

import pytest
import torch
from lying_nets import Lying, expect_refusal
from torch import nn

from audits.errors import Contradicted
from audits.execution import asking, server_settings
from audits.execution.served_forms import expect_same_answers
from audits.execution.server_settings import rough_settings, settings
from audits.models.frozen import as_loaded, freeze
from fillblanks import Classifier

CPU = torch.device("cpu")


class Runtime(nn.Module):
    """A network that another program answers, as OnnxNet is."""

    stated_threads = 0

    def on_threads(self, count):
        return nullcontext()

    def afresh(self):
        return nullcontext()


def test_a_network_of_another_runtime_knows_no_setting_of_torch():
    """Under autocast its gradients alone would be others: no server answers with these."""
    net = nn.Sequential(Runtime())
    assert {form.split()[-1] for form, _ in settings(net, many=True)} == {"threads"}
    assert not list(rough_settings(net, CPU))


@pytest.mark.parametrize("name", ["afresh", "on_threads", "stated_threads"])
def test_an_attribute_that_a_file_brings_exempts_no_network(name):
    class Plain(nn.Module):
        pass

    def told(net):
        forms = [*settings(net, many=False), *rough_settings(net, CPU)]
        return {form for form, _ in forms if "threads" not in form}

    brought = Plain()
    brought.register_buffer(name, torch.zeros(1))
    assert told(brought) == told(Plain()) != set()


@pytest.mark.parametrize("quick", [True, False])
def test_a_lie_to_batches_on_another_number_of_threads_is_found(quick, images, monkeypatch):
    if not quick:
        monkeypatch.setattr(asking, "_QUICK", 0.0)
    now = torch.get_num_threads()
    told = expect_refusal(lambda x: len(x) > 2 and torch.get_num_threads() != now, images)
    assert "threads" in told


class Weighed(Lying):
    """Lies if a product of its parameter is rounded otherwise than that of a buffer."""

    def __init__(self):
        super().__init__(lambda x: self.told())
        drawn = torch.Generator().manual_seed(0)
        weight = torch.randn(64, 777, generator=drawn)
        self.weight = nn.Parameter(weight)
        self.register_buffer("same", weight.clone())
        self.register_buffer("other", torch.randn(8, 777, 8, generator=drawn))

    def told(self):
        return not torch.equal(self.weight @ self.other, self.same @ self.other)


def test_a_lie_by_parameters_that_require_gradients_is_found(images):
    """torch.matmul takes another kernel for these, also under no_grad."""
    net = Weighed()
    with torch.no_grad():
        if not net.told():
            pytest.skip("this machine rounds both products alike")
    freeze(net)
    with pytest.raises(Contradicted, match="with parameters that require gradients"):
        expect_same_answers(Classifier(net), images, only_classes=False)


def test_parameters_require_gradients_as_they_were_loaded():
    net = nn.Linear(3, 2)
    net.bias.requires_grad_(False)
    freeze(net)
    assert not any(one.requires_grad for one in net.parameters())
    with as_loaded(net):
        assert net.weight.requires_grad
        assert not net.bias.requires_grad
    assert not any(one.requires_grad for one in net.parameters())


@pytest.mark.parametrize(
    ("lies", "form"),
    [
        (lambda x: torch.is_grad_enabled(), "with gradients"),
        (lambda x: torch.is_inference_mode_enabled(), "in inference mode"),
    ],
)
def test_a_lie_by_the_mode_of_gradients_is_found(lies, form, images):
    assert form in expect_refusal(lies, images)


def _own_threads():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists threads on Linux alone")
def test_all_threads_are_started_before_the_network_takes_memory():
    before = torch.get_num_threads()
    with server_settings._threads(before + 20):
        assert torch.get_num_threads() == before + 20
        assert _own_threads() >= before + 20
    assert torch.get_num_threads() == before


def test_without_room_for_threads_their_number_stays(monkeypatch):
    monkeypatch.setattr(server_settings, "_have_room", lambda count: False)
    before = torch.get_num_threads()
    with server_settings._threads(before + 20):
        assert torch.get_num_threads() == before
