"""Settings of servers are those of the program that answers there."""

from contextlib import nullcontext

import pytest
import torch
from lying_nets import expect_refusal
from torch import nn

from audits.execution import asking
from audits.execution.server_settings import rough_settings, settings

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
