"""The gate promotes what was audited, whole, and only a version that MLflow says is in use."""

import shutil
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
import yaml
from gates import GOOD, SIMILAR, ask, audit, never, version, with_alias, with_status, with_tag

from audits import AuditError, parse_config, run_audit
from audits.models.registry import resolve
from audits.tracking import reader
from audits.workflows.candidates import candidates
from audits.workflows.freshness import due
from audits.workflows.resolved import pinned
from audits.workflows.sweep import Wanted, versions

SERVED = "write `served: pytorch` into the config"


@pytest.fixture
def client():
    return mlflow.MlflowClient()


def _stored(uri):
    """The folder in which MLflow keeps the files of a version."""
    location = mlflow.get_logged_model(resolve(uri).model_id).artifact_location
    return Path(urlparse(location).path)


@contextmanager
def _put_back():
    """The folder of SIMILAR, put back at the end."""
    folder = _stored(SIMILAR)
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


@pytest.fixture
def stored(config):
    with _put_back() as folder:
        yield folder


def _edit(folder, **fields):
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    conf["flavors"]["python_function"] |= fields
    file.write_text(yaml.safe_dump(conf))


def _other_loader(folder):
    _edit(folder, loader_module="helpful.loader")


def _other_data(folder):
    shutil.copytree(_stored(GOOD) / "data", folder / "other")
    _edit(folder, data="other")


def _note(folder):
    (folder / "README.md").write_text("A word.")


def _linked(folder):
    (folder / "python_env.yaml").unlink()


EDITS = {
    _other_loader: "MLmodel",
    _other_data: "MLmodel, other/model.pt2",
    _note: "README.md",
    _linked: "python_env.yaml",
}


@pytest.fixture(scope="module")
def after_edits(config):
    """For each edit of the folder after the audit: the gate's answer, and the alias's version then.

    One audit serves for all edits: each edit is taken back, after which the audit stands again.
    """
    client, done, found = mlflow.MlflowClient(), [], {}
    client.set_registered_model_alias("digits", "edited", "1")
    asked = {"promote": "edited", "accept_partial": True, "fresh": True}
    for change in EDITS:
        with _put_back() as folder:

            def edited(config, change=change, folder=folder):
                done[:] = done or [run_audit(config)]
                change(folder)
                return done[0]

            decision = ask(config(SIMILAR), audit=edited, **asked)
        found[change] = decision, client.get_model_version_by_alias("digits", "edited").version
    return found


@pytest.mark.slow
@pytest.mark.parametrize("change", EDITS)
def test_a_folder_that_was_edited_after_the_audit_is_not_promoted(change, after_edits):
    decision, version_of_alias = after_edits[change]
    assert decision.verdict.word == "undecided"
    assert decision.verdict.reason.startswith("not promoted: Expected run")
    assert f"of the model's files, {EDITS[change]} changed since its audit" in decision.line
    assert version_of_alias == 1


@pytest.mark.slow
@pytest.mark.parametrize("change", [_other_loader, _other_data])
def test_an_audit_from_before_the_edit_does_not_count_for_the_gate(change, config, stored, client):
    assert audit(config(SIMILAR)).verdict.word == "passed"
    assert ask(config(SIMILAR), audit=never).reused
    change(stored)
    client.set_registered_model_alias("digits", "before", "1")
    why = due(pinned(parse_config(config(SIMILAR)))).why
    assert why.startswith("of the model's files, MLmodel")
    decision = ask(config(SIMILAR), promote="before", accept_partial=True)
    assert not decision.reused
    assert decision.verdict.word == "undecided"
    assert "'python_function' with loader_module" in decision.line
    assert SERVED in decision.line
    assert client.get_model_version_by_alias("digits", "before").version == 1


@pytest.mark.slow
def test_a_config_that_says_which_flavour_is_served_has_that_one_audited(config, stored):
    _other_data(stored)
    result = audit(config(SIMILAR, served="pytorch"))
    assert result.verdict.word == "passed", result.verdict.reason
    (note,) = [note for note in result.notes if note.startswith("Only the flavour pytorch")]
    assert "'python_function' with loader_module 'mlflow.pytorch', data 'other'" in note
    again = ask(config(SIMILAR, served="pytorch"), audit=never)
    assert again.reused
    # The audit counts for those alone who say so themselves.
    assert "cannot be opened" in due(pinned(parse_config(config(SIMILAR)))).why
    found = reader.standing(resolve(SIMILAR))
    assert found is not None
    assert {"MLmodel", "data/model.pt2", "other/model.pt2"} < set(found.model_files)


@pytest.mark.slow
def test_another_flavours_folder_gives_other_parts_of_the_store(config, stored):
    first = audit(config(SIMILAR))
    _note(stored)
    second = audit(config(SIMILAR))
    assert first.evidence[0].estimates == second.evidence[0].estimates
    assert first.inputs_digest != second.inputs_digest


def _runs():
    experiments = [one.experiment_id for one in mlflow.MlflowClient().search_experiments()]
    return {run.info.run_id for run in mlflow.MlflowClient().search_runs(experiments)}


@pytest.mark.parametrize("word", ["PENDING_REGISTRATION", "FAILED_REGISTRATION"])
@pytest.mark.parametrize("place", ["model", "baseline", "reference"])
def test_a_version_that_is_not_registered_is_refused_and_nothing_recorded(
    place, word, config, shared_registry
):
    runs, tags = _runs(), dict(version(SIMILAR).tags)
    values = config(GOOD) | {place: SIMILAR}
    with with_status(shared_registry, word):
        for run in (audit, ask):
            with pytest.raises(AuditError, match=f"status READY, got {SIMILAR} with") as refused:
                run(values)
            assert word in str(refused.value)
            assert "\n" not in str(refused.value)
    assert (_runs(), version(SIMILAR).tags) == (runs, tags)


def _swept(config):
    """URIs of the versions at which a sweep looks, and how many others there are, by reason."""
    found = candidates(versions(Wanted(name="digits")), parse_config(config(SIMILAR)))
    return [one.uri for one in found.rows], found.told


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deprecated", "true"),
        ("deprecated", "use v4"),
        ("status", "Deprecated"),
        ("lifecycle", "deprecated"),
        ("system.certification_status", "deprecated"),
    ],
)
def test_the_gate_refuses_a_deprecated_version_and_a_sweep_leaves_it_out(key, value, config):
    assert SIMILAR in _swept(config)[0]
    with with_tag(key, value):
        with pytest.raises(AuditError, match=rf"in use, got {SIMILAR}, .* \(tag {key}") as refused:
            ask(config(SIMILAR), audit=never)
        assert "\n" not in str(refused.value)
        assert _swept(config) == ([GOOD, "models:/digits/2"], "left alone: 1 deprecated")
        with with_alias("served"):  # somebody serves it
            assert SIMILAR in _swept(config)[0]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [("deprecated", "false"), ("status", "approved")])
def test_a_tag_that_does_not_say_deprecated_changes_nothing(key, value, config):
    with with_tag(key, value):
        assert ask(config(SIMILAR)).verdict.word == "passed"
        assert SIMILAR in _swept(config)[0]


def test_a_deprecated_version_is_audited_and_may_be_a_baseline(config, client):
    client.set_model_version_tag("digits", "1", "deprecated", "true")
    try:
        result = audit(config(GOOD, baseline=None, policy={}))
        assert any("deprecated (tag deprecated: 'true')" in note for note in result.notes)
        assert ask(config(SIMILAR)).verdict.word == "passed"
    finally:
        client.delete_model_version_tag("digits", "1", "deprecated")


def test_an_archived_version_counts_as_deprecated(config, client):
    client.transition_model_version_stage("digits", "3", "Archived")
    try:
        with pytest.raises(AuditError, match=r"which is deprecated \(stage Archived\)"):
            ask(config(SIMILAR), audit=never)
        assert SIMILAR not in _swept(config)[0]
    finally:
        client.transition_model_version_stage("digits", "3", "None")


def test_versions_that_are_not_registered_are_left_out_of_a_sweep(config, shared_registry):
    with with_status(shared_registry, "FAILED_REGISTRATION"):
        left = "left alone: 1 status FAILED_REGISTRATION"
        assert _swept(config) == ([GOOD, "models:/digits/2"], left)


@pytest.fixture(scope="module")
def gone(config, shared_registry):
    """For each way out of use after the audit: the gate's answer, and the model's aliases then.

    One audit serves for all ways: the first two are undone, after which the audit stands again.
    """
    client, done, found = mlflow.MlflowClient(), [], {}
    client.create_registered_model("passing")
    number = client.create_model_version("passing", version(SIMILAR).source).version

    def deleted():
        client.delete_model_version("passing", number)
        return nullcontext()

    ways = {
        "deprecated": partial(with_tag, "deprecated", "", "passing", number),
        "failed": partial(with_status, shared_registry, "FAILED_REGISTRATION", "passing", number),
        "deleted": deleted,
    }
    for how, way in ways.items():
        with ExitStack() as stack:

            def out_of_use(config, way=way, stack=stack):
                done[:] = done or [run_audit(config)]
                stack.enter_context(way())
                return done[0]

            own = config(f"models:/passing/{number}")
            asked = {"promote": "next", "accept_partial": True, "fresh": True}
            decision = ask(own, audit=out_of_use, **asked)
            found[how] = decision, client.get_registered_model("passing").aliases
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deprecated", "failed", "deleted"])
def test_a_version_that_goes_out_of_use_during_the_gate_is_not_promoted(how, gone):
    decision, aliases = gone[how]
    assert decision.verdict.word == "undecided"
    assert "not promoted: Expected " in decision.line
    expected = {"deprecated": "deprecated (tag", "failed": "FAILED", "deleted": "found none"}[how]
    assert expected in decision.line
    assert "next" not in aliases


@pytest.mark.slow
def test_evidence_without_a_list_of_files_is_compared_by_its_digest(config, stored, monkeypatch):
    result = audit(config(SIMILAR))
    found = reader.standing(resolve(SIMILAR))
    model = found.content.model.model_copy(update={"files": None})
    found = replace(found, content=found.content.model_copy(update={"model": model}))
    monkeypatch.setattr(reader, "standing_by_tags", lambda model, tags, experiment: found)
    asked = pinned(parse_config(config(SIMILAR)))
    assert due(asked).audit.run_id == result.run_id
    _note(stored)
    assert due(asked).why.startswith("model, data, checks")
