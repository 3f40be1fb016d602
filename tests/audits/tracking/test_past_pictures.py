"""Pictures of a past audit are taken from its run only if they are those that it logged."""

import mlflow
import numpy as np
import pytest

from audits.evidence.codec import to_json
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.report.contact_sheet import enlarge
from audits.tracking.past_pictures import with_pictures
from audits.tracking.reader import PastAudit


@pytest.fixture
def audit(registry):
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
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for one in pictures:
            image = enlarge(one.image)
            client.log_image(run.info.run_id, image, key=one.key, step=one.step, synchronous=True)
    bare = evidence.model_copy(update={"pictures": ()})
    content = {"checks": [to_json(evidence)]}
    return evidence, PastAudit(run.info.run_id, "page", content, (bare,))


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
    first = past.content["checks"][0]["shown"][0]
    first["sha256"] = "0" * 64
    (found,) = with_pictures(past)
    assert [p.seen.label for p in found.pictures] == [1]


def test_an_audit_of_an_older_release_has_no_pictures(audit):
    _, past = audit
    del past.content["checks"][0]["shown"]
    assert with_pictures(past) == past.evidence
