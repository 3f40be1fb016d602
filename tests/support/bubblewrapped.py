"""The mark of tests that need bubblewrap: without it they are skipped, with the reason."""

import pytest

from audits import AuditError
from audits.execution import bubblewrap


def _reason() -> str:
    try:
        bubblewrap.expect_available()
    except AuditError as error:
        return str(error)
    return ""


needs_bubblewrap = pytest.mark.skipif(bool(_reason()), reason=_reason())
