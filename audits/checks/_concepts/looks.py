"""Two looks: at all classes on one half of the data, at one concept on the other."""

from typing import NamedTuple

import numpy as np

from audits.checks._concepts.of_class import (
    LEAST_IMAGES,
    State,
    Untried,
    keeps_predictions,
    learn,
    look,
    opened,
    predicted,
    random_dictionary,
)
from audits.checks._concepts.pictures import example, no_example
from audits.checks._concepts.trial import others_of, strongest, transplant
from audits.checks._shared.halves import halves
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from fillblanks.concepts.dictionary import Dictionary


class Settings(NamedTuple):
    """The fields of the check that decide a look, and its images."""

    pool: np.ndarray  # indices of the images of the check, int64 (n,)
    concepts: int
    first: int
    size: int  # pixels of a patch


def first_look(audit: AuditContext, unit: Unit, settings: Settings, most: int) -> Part:
    """The concepts of the unit's class, and `most` other images with patches of the first ones.

    The part of a class that cannot be tried says why.
    """
    donors = np.array(unit.indices)
    named = predicted(audit, donors)
    part: Part = {"index": donors, "label": audit.images.labels[donors], "predicted": named}
    try:
        return part | _tried(audit, unit, donors[named == part["label"]], settings, most)
    except Untried as error:
        return part | {
            "state": np.array(int(error.state)),
            "kept": error.kept.astype(np.int64),
            "importance": np.zeros((0, 3)),
            "dictionary": np.zeros((0, 1)),
            "channels": np.array(0),
            "common": np.zeros(0, np.int64),
            "read": np.zeros((0, 0), np.int64),
            "read_null": np.zeros((0, 0), np.int64),
            **no_example(audit, unit),
        }


def _tried(audit: AuditContext, unit: Unit, own: np.ndarray, settings: Settings, most: int) -> Part:
    """The figures of a class from `own`, images of it that the model names so. Raises Untried."""
    if len(own) < LEAST_IMAGES:
        raise Untried(State.FEW)
    label, size = int(audit.images.labels[own[0]]), settings.size
    found = opened(audit, settings.pool)
    learnt = learn(audit, found, own, label, settings.concepts)
    others = others_of(audit, halves(audit, settings.pool)[0], label, most)
    concepts = range(min(settings.first, len(learnt.dictionary.rows)))
    trials = [transplant(audit, found, learnt.seen, one, others, size) for one in concepts]
    places = [strongest(learnt.seen.codes, one).numpy() for one in concepts]
    return {
        "state": np.array(int(State.TRIED)),
        "kept": learnt.kept.astype(np.int64),
        "importance": learnt.importance,
        "dictionary": learnt.dictionary.rows,
        "channels": np.array(learnt.dictionary.channels),
        "common": np.array([np.bincount(place).argmax() for place in places]),
        "read": np.stack([trial.read for trial in trials]),
        "read_null": np.stack([trial.read_null for trial in trials]),
        **example(audit, unit, found, learnt.seen, trials, others, size),
    }


def second_look(
    audit: AuditContext,
    settings: Settings,
    dictionary: Dictionary,
    concept: int,
    donors: np.ndarray,
    most: int,
) -> Part:
    """`most` images of the other half with patches of one concept, sought in `donors` of its class.

    Raises Untried.
    """
    label, found = int(audit.images.labels[donors[0]]), opened(audit, settings.pool)
    seen = look(audit, found, donors[predicted(audit, donors) == label], dictionary)
    others = others_of(audit, halves(audit, settings.pool)[1], label, most)
    trial = transplant(audit, found, seen, concept, others, settings.size)
    drawn = random_dictionary(audit, dictionary)
    by_chance = drawn.codes(found.vectors(seen.values))
    keeps = keeps_predictions(audit, found, seen.values, dictionary, seen.codes)
    keeps_null = keeps_predictions(audit, found, seen.values, drawn, by_chance)
    return {
        "read": trial.read,
        "read_null": trial.read_null,
        "strongest": strongest(seen.codes, concept).numpy(),
        "kept": keeps.astype(np.int64),
        "kept_null": keeps_null.astype(np.int64),
    }
