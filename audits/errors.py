"""What goes wrong, in words for the person who runs the audit: one line each."""


class AuditError(ValueError):
    """Bad input: says what was expected, what came and what to do. Nothing was audited."""


class ModelRefused(AuditError):
    """The model must not or cannot be audited; the reason is recorded with an undecided verdict."""


class NotApplicable(AuditError):
    """A check makes no sense for this model or data; it never counts as passed."""
