"""The tags that audits write in MLflow, and the content of each."""

# Of version and run.
VERDICT_TAG = "audit.verdict"  # one word

# Of the version.
RUN_TAG = "audit.run"  # the run of the newest audit; it has the evidence
DATE_TAG = "audit.date"  # of the verdict, in UTC
OLD_TAG = "audit"  # of releases before the three above: JSON with verdict, run and more

# Of the registered model.
VERSIONS_TAG = "audit"  # "v3 passed, v2 failed"; short, since the list of models cuts it

# Of the run.
MODEL_TAG = "audit.model"  # URI of the version
ALIASES_TAG = "audit.aliases"  # those that the version had when the audit began
REASON_TAG = "audit.reason"
NOT_COVERED_TAG = "audit.not_covered"  # of a verdict in part: the sentence that says why
DIGEST_TAG = "audit.digest"  # sha256 of everything that decides the verdict
INPUTS_TAG = "audit.figures"  # digest of the inputs, which decide the figures
HASH_TAG = "audit.evidence_sha256"
REPORT_TAG = "audit.report_sha256"
BASELINE_REPORT_TAG = "audit.baseline_report_sha256"
# A line for each model that contradicted itself: digest of its files, check, reason.
REFUSED_TAG = "audit.refused"
PROMOTION_TAG = "audit.promotion"
COLOUR_TAG = "mlflow.runColor"  # of the run in MLflow's charts; MLflow's own tag
