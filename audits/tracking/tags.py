"""The tags that audits write in MLflow, and the content of each."""

# Of version and run.
VERDICT_TAG = "audit.verdict"  # one word

# Of the version.
AUDIT_TAG = "audit"  # one JSON value: verdict, run, digest, when, reason, hash of evidence.json

# Of the run.
MODEL_TAG = "audit.model"  # URI of the version
ALIASES_TAG = "audit.aliases"  # those that the version had when the audit began
REASON_TAG = "audit.reason"
NOT_COVERED_TAG = "audit.not_covered"  # of a verdict in part: the sentence that says why
DIGEST_TAG = "audit.digest"  # sha256 of everything that decides the verdict
INPUTS_TAG = "audit.figures"  # digest of the inputs, which decide the figures
HASH_TAG = "audit.evidence_sha256"
REPORT_TAG = "audit.report_sha256"
PROMOTION_TAG = "audit.promotion"
