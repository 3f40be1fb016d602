"""Figures and what they mean: metrics with intervals, evidence, and its forms on disk.

May import `audits.errors` and `audits.strict`.
"""
