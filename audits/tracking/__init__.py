"""Writes evidence and verdicts to MLflow, and reads them back.

May import `audits.verdict` and the rooms below, and `audits.report`.
"""
