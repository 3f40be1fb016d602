"""Metrics with intervals, the evidence that holds them, and the forms of evidence on disk.

May import `audits.errors` and `audits.strict`.
"""
