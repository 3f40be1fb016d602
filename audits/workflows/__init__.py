"""Whole stories as plain functions: audit, gate, sweep, promotion, comparison, preview.

May import every other room. Nothing here knows of Prefect.
"""
