"""Pictures of a past audit are taken from its run only if they are those that it logged."""

import hashlib

import mlflow
import numpy as np
import pytest

from audits.evidence.codec import to_json
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.tracking.content import Content
from audits.tracking.past_pictures import FILE, pictures_file, with_pictures
from audits.tracking.reader import PastAudit


@pytest.fixture
def audit(registry, tmp_path):
    """An audit with pictures of two classes in MLflow."""
    rng = np.random.default_rng(0)
    pictures = tuple(
        Picture(
            f"fill/class_{label}",
            step,
            rng.integers(0, 256, (28, 28, 3), dtype=np.uint8),
            caption,
            title=f"class {label}",
            seen=Seen(shows, 3 + label, label, 1 - label),
        )
        for label in range(2)
        for step, (shows, caption) in enumerate((("image", "image"), ("drawing", "prototype")))
    )
    evidence = Evidence(check="fill", sentence="s", pictures=pictures)
    (tmp_path / FILE).write_bytes(pictures_file([evidence]))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / FILE))
    bare = evidence.model_copy(update={"pictures": ()})
    sha256 = hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()
    content = Content.model_construct(checks=(to_json(evidence),), files={FILE: sha256})
    return evidence, PastAudit(run.info.run_id, "0", content, (bare,))


def test_the_very_pixels_come_back_with_their_words(audit):
    evidence, past = audit
    (found,) = with_pictures(past)
    wanted = [p for p in evidence.pictures if p.seen.shows == "drawing"]
    assert len(found.pictures) == len(wanted) == 2
    for ours, theirs in zip(found.pictures, wanted, strict=True):
        assert np.array_equal(ours.image, theirs.image)
        assert (ours.key, ours.step, ours.caption, ours.title) == (
            theirs.key,
            theirs.step,
            theirs.caption,
            theirs.title,
        )
        assert ours.seen == theirs.seen


def test_a_picture_that_was_changed_is_left_out(audit):
    _, past = audit
    first = past.content.checks[0]["shown"][0]
    first["sha256"] = "0" * 64
    (found,) = with_pictures(past)
    assert [p.seen.label for p in found.pictures] == [1]


def test_another_file_is_not_read(audit):
    _, past = audit
    past.content.files[FILE] = "0" * 64
    assert with_pictures(past) == past.evidence


def test_an_audit_of_an_older_release_has_no_pictures(audit):
    _, past = audit
    del past.content.checks[0]["shown"]
    assert with_pictures(past) == past.evidence


def test_words_of_another_shape_are_not_used(audit):
    _, past = audit
    for shown in (5, [7], [{"key": "k"}], [{**past.content.checks[0]["shown"][0], "seen": [1]}]):
        past.content.checks[0]["shown"] = shown
        assert with_pictures(past) == past.evidence
