"""`fillblanks history` lists the newest audits, and says if there are older ones."""

import argparse
import json

import pytest
from mlflow import MlflowClient

from audits.tracking.tags import MODEL_TAG, VERDICT_TAG
from flows.commands import history

_AUDITS = 4


@pytest.fixture
def listed(registry, monkeypatch, capsys):
    """Runs `history`, whose table has two rows by default; returns stdout and stderr."""
    monkeypatch.setattr(history, "_NEWEST", 2)
    client = MlflowClient()
    experiment = client.create_experiment("audits")
    for number in range(_AUDITS):
        tags = {MODEL_TAG: f"models:/m/{number}", VERDICT_TAG: "passed"}
        client.create_run(experiment, start_time=1 + number * 60_000, tags=tags)
    parser = argparse.ArgumentParser()
    history.add(parser.add_subparsers())

    def run(*arguments):
        options = parser.parse_args(["history", "m", *arguments])
        assert options.command(options) == 0
        return capsys.readouterr()

    return run


def test_a_table_has_the_newest_audits_and_says_that_there_are_older(listed):
    stdout, stderr = listed()
    assert [row.split()[2] for row in stdout.splitlines() if row.startswith("1970")] == ["v3", "v2"]
    assert stderr == "The newest 2 audits are listed; --last N lists the newest N.\n"


@pytest.mark.parametrize("last", [1, _AUDITS - 1, _AUDITS, _AUDITS + 1])
def test_last_is_how_many_are_listed(last, listed):
    stdout, stderr = listed("--json", "--last", str(last))
    versions = [json.loads(line)["version"] for line in stdout.splitlines()]
    assert versions == ["3", "2", "1", "0"][:last]
    assert (f"The newest {last} audits" in stderr) == (last < _AUDITS)


def test_json_has_all_audits_by_default(listed):
    stdout, stderr = listed("--json")
    assert (len(stdout.splitlines()), stderr) == (_AUDITS, "")


@pytest.mark.parametrize("last", ["0", "-1", "x", "1.5", "1000001"])
def test_a_number_of_audits_is_from_1_to_a_million(last, listed, capsys):
    with pytest.raises(SystemExit):
        listed("--last", last)
    assert f"expected 1 to 1,000,000 audits, got '{last}'" in capsys.readouterr().err
