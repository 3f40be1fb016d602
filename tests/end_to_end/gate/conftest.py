"""Fixtures for the tests of the gate: a registry with three versions, a store, a config."""

import pytest
from gates import GOOD
from simple_nets import logistic


@pytest.fixture(scope="module")
def digits(shared_registry, register):
    for net in (logistic(), logistic(noise=4.0), logistic(noise=0.02)):
        register(net, "digits")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def config(digits, store):
    """Makes a config that audits one of the versions, with changes."""

    def made(model, **changes):
        policy = {
            "conditions": [
                {"metric": "performance/accuracy", "max_drop": 0.05},
                {"metric": "performance/accuracy", "min": 0.8},
            ]
        }
        values = {
            "model": model,
            "baseline": GOOD,
            "data": {"kind": "digits"},
            "checks": [{"kind": "performance"}],
            "policy": policy,
            "store": store,
        }
        return {**values, **changes}

    return made
