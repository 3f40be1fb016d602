"""Errors whose messages are for the person who runs the audit."""


class AuditError(ValueError):
    """Bad input. The message says which input was expected, which came, and how to mend it."""


class ModelRefused(AuditError):
    """The model must not or cannot be audited; the reason is recorded with an undecided verdict."""


class NotApplicable(AuditError):
    """A check cannot be applied to this model or data. The check never counts as passed."""
