"""Fixtures for the tests of execution: configs of registered networks, threads, containers."""

import os

import pytest
import torch
from containers import NoEngine, containers, make_docker, remove_image

from audits import parse_config
from audits.execution import docker
from audits.execution.worker import Worker

_LEAST = {"data": {"kind": "digits"}, "device": "cpu"}


@pytest.fixture
def config_of(shared_registry, register, tmp_path):
    """Registers a network and makes a config that audits it, with an empty store."""

    def make(net, checks, pickled=True, signature=None, **values):
        uri, sha256 = register(net, "m", pickled=pickled, signature=signature)
        base = {**_LEAST, "model": uri, "trust_pickle_sha256": sha256}
        return parse_config({**base, "store": str(tmp_path / "store"), "checks": checks, **values})

    return make


@pytest.fixture(scope="module")
def other_threads():
    """A number of threads other than the workers' on this machine."""
    if os.cpu_count() == 1:
        pytest.skip("one core has one thread")
    with Worker() as worker:
        return 2 if worker.call(torch.get_num_threads, seconds=60) == 1 else 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A folder with the command docker; the tests are skipped if there is no engine."""
    folder = tmp_path_factory.mktemp("bin")
    try:
        make_docker(folder)
    except NoEngine as error:
        pytest.skip(f"no containers here: {error}")
    yield folder
    remove_image(folder)


@pytest.fixture
def in_path(engine, monkeypatch, tmp_path):
    """The same folder, in PATH; asserts that no container is left."""
    monkeypatch.setenv("PATH", f"{engine}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    docker.expect_available.cache_clear()
    yield engine
    assert containers(engine) == [], "containers are left behind"


@pytest.fixture
def images():
    """Twenty small images of 8 bits, (N, 3, 8, 8)."""
    return torch.randint(0, 256, (20, 3, 8, 8)) / 255
