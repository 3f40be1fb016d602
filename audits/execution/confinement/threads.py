"""Threads of libraries that want a lock which processes share, though they share it with none."""

import sys


def without_shared_locks() -> None:
    """Has joblib, by which scikit-learn uses threads, know that there are no shared locks here.

    joblib looks when it is imported, and then goes without threads.
    """
    backends = sys.modules.get("joblib._parallel_backends")
    if backends is not None:
        backends.mp = None  # type: ignore[attr-defined]
