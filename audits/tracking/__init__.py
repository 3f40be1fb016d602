"""Evidence and verdicts to MLflow and back.

May import `audits.verdict` and the rooms below, and `audits.report`.
"""
